"""Whatever the bytes, an upload is a data set or one sentence, and the same file by its path agrees."""

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recengine.data.sources import load_dataset, load_upload
from recengine.errors import BadInput
from tests.data.readers.test_tabular import LONG, WIDE, layout
from tests.support.archives import zipped

LINES = b"".join(b'{"user": %d, "item": "i%d", "rating": %d, "time": 9}\n' % (n % 3, n, n % 5 + 1) for n in range(6))
SEEDS = [LONG, WIDE, zipped(layout()), LONG.decode().encode("utf-16"), LINES]
PIECES = [b",", b";", b"\n", b"\r", b'"', b"\0", b"nan", b"1e400", b"-1", b"\xff", b"\xe9", b".0", b" ", b"9" * 19]
PIECES += [b"9" * 5_000, b"[", b"{}", b"NaN", b"null", b": [1],", b": {},", b"\\ud800", b'"\\u0000"']


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """Return bytes of nothing in particular, or a good file with a few changes."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.binary(max_size=200))
    content = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        match draw(st.integers(0, 2)):
            case 0:
                content[at:at] = draw(st.sampled_from(PIECES))
            case 1:
                del content[at : at + draw(st.integers(1, 30))]
            case _:
                content[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
    return bytes(content)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=spoiled(), name=st.sampled_from(["a.csv", "a.zip", "a.jsonl", "", "../../x\\y\n.CSV"]))
def test_any_upload_is_a_data_set_or_one_sentence_and_a_path_agrees(content: bytes, name: str, tmp_path: Path) -> None:
    def outcome(load: Any) -> str:
        try:
            return str(load().fingerprint)
        except BadInput as refused:
            return "refused" if "\n" not in str(refused) else "refused in several lines"

    by_upload = outcome(lambda: load_upload(name, content))
    assert by_upload != "refused in several lines"
    if not name.endswith(".zip"):
        path = tmp_path / ("a.jsonl" if name == "a.jsonl" else "a.csv")
        path.write_bytes(content)
        assert outcome(lambda: load_dataset(path)) == by_upload
