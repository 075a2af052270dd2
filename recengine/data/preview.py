"""What a file would be read as, before it is used: its first rows, its columns, and all that was inferred."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from recengine.data.dataset import Dataset
from recengine.data.readers.archive import GZIP, UPLOAD_LIMIT, Files, Gunzipped, Upload, Zip, is_zip, read, upload_label
from recengine.data.readers.columns import candidates
from recengine.data.readers.delimited import Rows
from recengine.data.readers.typed import first_rows, is_typed
from recengine.data.reading import ROLES, Inference, Reading
from recengine.data.sources import load_upload
from recengine.errors import BadInput

SHOWN_ROWS = 8


@dataclass(frozen=True)
class Preview:
    """A file as it is understood so far.

    names, rows : the columns of its table of ratings and the first rows, as text; empty where none can be split
    dataset     : what was read, or None where something is open or wrong
    problem     : why not, with the option that would help; or None
    """

    names: list[str]
    rows: list[list[str]]
    dataset: Dataset | None
    problem: BadInput | None

    @property
    def reading(self) -> Reading:
        """Return how it was read, what was inferred included; where it was not read, the columns that names tell."""
        if self.dataset:
            return self.dataset.reading
        sure = {role: self.names[at[0]] for role, at in candidates(self.names).items() if len(at) == 1}
        user, item, rating, time, event = (sure.get(role) for role in ROLES)
        return Reading(user, item, rating, time, event)

    @property
    def inferences(self) -> tuple[Inference, ...]:
        """Return what was not stated, with a sentence on each."""
        return self.dataset.inferences if self.dataset else ()


def preview(
    filename: str, content: bytes, reading: Reading | None = None, *, unpacked_limit: int = UPLOAD_LIMIT
) -> Preview:
    """Return what an upload is read as. Nothing is raised: what is wrong is the preview's `problem`."""
    dataset = problem = None
    try:
        dataset = load_upload(filename, content, reading=reading, unpacked_limit=unpacked_limit)
    except BadInput as error:
        problem = error
    try:
        names, rows = _table(filename, content, reading or Reading(), unpacked_limit)
    except BadInput:
        names, rows = [], []
    return Preview(names, rows, dataset, problem)


def _table(filename: str, content: bytes, reading: Reading, limit: int) -> tuple[list[str], list[list[str]]]:
    """Return the columns of the ratings in an upload, and its first rows, split as stated or as seems best."""
    member = label = upload_label(filename)
    files: Files = Upload(label, content)
    if is_zip(content, label):
        files, member = Zip(label, content, limit), "ratings.csv"
        if member not in files:
            return [], []
    elif content.startswith(GZIP):
        files = Gunzipped(files, limit)
    if is_typed(member, files):
        frame = first_rows(files, member, SHOWN_ROWS)
        return [str(name) for name in frame], frame.astype(str).to_numpy().tolist()
    rows = Rows(label, read(files, member), mark=reading.separator, header=reading.header is not False)
    first = [[cell.strip() for cell in row] for row in islice(rows.cells(), SHOWN_ROWS)]
    return rows.header, first
