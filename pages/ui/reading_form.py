"""An upload before it is used: its first rows, what was understood of it, and a control for each choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import streamlit as st

from pages.hosting import uploads
from pages.hosting.limits import unpacked_limit
from pages.hosting.visitor import visitor_id
from pages.ui import datasets, messages
from pages.ui.escape import html, markdown, plain
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.data.preview import Preview, preview
from recengine.data.reading import ROLES, SEPARATORS, Reading
from recengine.errors import BadInput
from recengine.export import counted, nouns

EXAMPLE = "userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n1,1029,3.0,1260759179\n2,31,4.0,835355493\n"
AS_READ = ""
"""Stands in a picker for what was understood of the file."""
LABELS = {
    "user": "Who",
    "item": "What",
    "rating": "Rating or amount",
    "time": "When",
    "event": "Kind of event",
    "header": "First line",
    "separator": "Separator",
    "layout": "Layout",
    "feedback": "The rows are",
    "scale": "Scale of the ratings",
    "time_unit": "Times are",
    "aggregate": "Repeated pairs",
    "weights": "What an event counts",
    "columns": "Columns",
}
"""What the controls are called, by the field of `Reading`."""
WRITTEN = ("header", "separator", "layout")
"""The controls for what is plain in most files: they are folded away unless there is a question about one."""
CHOICES: dict[str, dict[str, str]] = {
    "header": {"yes": "names of columns", "none": "data already"},
    "separator": {mark: name for name, mark in SEPARATORS.items()},
    "layout": {"long": "one row for each rating", "wide": "one row for each user"},
    "feedback": {"explicit": "ratings on a scale", "implicit": "events, which all count"},
    "time_unit": {
        "s": "seconds since 1970",
        "ms": "milliseconds",
        "us": "microseconds",
        "ns": "nanoseconds",
        "iso": "ISO dates",
        "compact": "dates such as 20240531",
    },
    "aggregate": {"latest": "the latest counts", "max": "the highest counts", "sum": "added up", "count": "counted"},
}
"""The choices of a control: text of the option -> what is shown."""


@dataclass
class Draft:
    """A file that was uploaded and is not used yet; `shown` is what the last reading gave."""

    id: str
    name: str
    content: bytes
    reading: Reading
    shown: Preview

    @classmethod
    def of(cls, id: str, name: str, content: bytes) -> Draft:
        """Read a new file with everything left open."""
        return cls(id, name, content, Reading(), preview(name, content, unpacked_limit=unpacked_limit()))

    def read_as(self, reading: Reading) -> None:
        """Read the file in another way, unless it was read like that already."""
        if reading != self.reading:
            self.reading = reading
            self.shown = preview(self.name, self.content, reading, unpacked_limit=unpacked_limit())


def label_of(field: str) -> str:
    """Return what the page calls a field of an error or an inference."""
    return LABELS.get(field) or messages.LABELS.get(field, field)


def draw(draft: Draft, use: Callable[[], None]) -> None:
    """Draw the preview of a file, its controls and the button that uses it. A change of a control reads it again."""
    try:
        draft.read_as(stated(draft))
        problem = draft.shown.problem
    except BadInput as error:  # two controls contradict each other
        problem = error
    shown = draft.shown
    with st.container(border=True, key="preview"):
        st.html(f'<div class="chart-head"><h3>{html(draft.name)}</h3><p>{html(_summary(shown.dataset))}</p></div>')
        _draw_rows(shown)
        is_asked = problem is None or _position(problem) in LABELS
        if problem is not None and not is_asked:
            messages.error(problem.sentence(label_of, equals=": "), example_button)
        _draw_controls(draft, problem)
        ready = problem is None and shown.dataset is not None
        if ready and shown.dataset is not None:
            _draw_report(shown.dataset)
            _draw_liked(draft, shown.dataset)
        st.button(
            "Use it" if ready else f"Use it: {'answer the question above' if is_asked else 'correct the file'} first",
            type="primary",
            on_click=use,
            disabled=not ready,
            key="use upload",
            icon=":material/check:",
        )


def example_button() -> None:
    """Offer a file that can be read."""
    st.download_button("Download an example", EXAMPLE, "ratings.csv", icon=":material/download:", on_click="ignore")


def stated(draft: Draft) -> Reading:
    """Return the reading that the controls state. Raises BadInput."""
    state = st.session_state
    texts = {field: state.get(_key(draft, field)) or None for field in (*CHOICES, "scale")}
    columns = {role: name for role in ROLES if (name := state.get(_key(draft, role)))}
    texts["columns"] = ",".join(f"{role}={name}" for role, name in columns.items()) or None
    inferred = dict(draft.shown.reading.weights)
    weights = {event: state.get(_key(draft, f"weight {event}"), 1.0) for event in inferred}
    if any(value not in (None, 1.0) for value in weights.values()):
        texts["weights"] = ",".join(f"{event}={1.0 if value is None else value}" for event, value in weights.items())
    return Reading.of_texts(texts)


def liked(draft: Draft) -> float | None:
    """Return the rating from which an item counts as liked, as far as the visitor chose another one."""
    dataset = draft.shown.dataset
    value = None if dataset is None else st.session_state.get(_liked_key(draft, dataset))
    return None if dataset is None or value in (None, dataset.like_threshold) else float(value)


def _key(draft: Draft, field: str) -> str:
    return f"read {draft.id} {field}"


def _liked_key(draft: Draft, dataset: Dataset) -> str:
    """Return the key of the control, which begins anew where another reading has another default."""
    return _key(draft, f"liked {dataset.like_threshold:g}")


def _summary(dataset: Dataset | None) -> str:
    if dataset is None:
        return "not understood yet"
    words = words_of(dataset)
    counts = f"{counted(len(dataset.ratings), words.ratings)} by {counted(dataset.n_users, words.viewers)}"
    return f"{counts} of {counted(dataset.n_items, words.items)}"


def _position(problem: BadInput) -> str:
    """Return the control next to which a problem stands: its own, or the first that its remedy speaks of."""
    if problem.field in LABELS:
        return problem.field
    return next((field for field in LABELS if f"`{field}`" in f"{problem.expected} {problem.remedy}"), problem.field)


def _draw_rows(shown: Preview) -> None:
    """Draw the first rows of the file as it is split into columns."""
    if not shown.names:
        return
    head = "".join(f"<th>{html(name)}</th>" for name in shown.names[:12])
    body = "".join("<tr>" + "".join(f"<td>{html(cell)}</td>" for cell in row[:12]) + "</tr>" for row in shown.rows)
    more = (
        f"<p>{len(shown.names) - 12:,} more {nouns(len(shown.names) - 12, 'columns')}</p>"
        if len(shown.names) > 12
        else ""
    )
    table = f"<table class='compare rows'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    st.html(f'<div class="scroll">{table}</div>{more}')


def _draw_controls(draft: Draft, problem: BadInput | None) -> None:
    """Draw a control for each choice, with what was understood or what is wrong under it."""
    shown, position = draft.shown, _position(problem) if problem else ""
    reading = shown.reading
    sentences = {inference.field: inference.sentence for inference in shown.inferences}
    texts = reading.texts() | {role: name for role, name in reading.columns.items() if name is not None}
    wide = reading.layout == "wide"

    def controls(*fields: str) -> None:
        for field in fields:
            needless = {"scale": reading.feedback == "implicit", "time_unit": not reading.time}.get(field, False)
            if needless and position != field:
                continue
            with st.container(gap="xxsmall"):
                if field == "scale":
                    st.text_input(LABELS[field], key=_key(draft, field), placeholder=_scale_text(texts.get(field)))
                else:
                    _picker(draft, field, CHOICES[field], texts.get(field))
                _note(problem if position == field else None)

    with st.grid(3, min_column_width=250, gap="small", key="reading"):
        for role in ("user",) if wide else ROLES:
            _picker(draft, role, {name: name for name in shown.names}, texts.get(role))
        controls("feedback", "aggregate", "time_unit", "scale")
    asked = position in WRITTEN or any(st.session_state.get(_key(draft, field)) for field in WRITTEN)
    with (
        st.expander("How the file is written", icon=":material/tune:", expanded=asked),
        st.grid(3, min_column_width=250, gap="small", key="written"),
    ):
        controls(*WRITTEN)
    if position in ("columns", "weights"):
        _note(problem)
    if reading.weights:
        st.html('<p class="status-line"><b>What an event counts</b></p>')
        with st.grid(4, min_column_width=150, gap="small", key="weights"):
            for event, weight in reading.weights:
                st.number_input(plain(event), value=weight, step=1.0, format="%g", key=_key(draft, f"weight {event}"))
    columns_first = sorted(sentences, key=WRITTEN.__contains__)
    lines = [messages.as_sentence(_named(sentences[field])) for field in columns_first]
    if lines:
        entries = "".join(f"<li>{html(line)}</li>" for line in lines)
        st.html(f'<section class="notebook"><h3>How it was read</h3><ul>{entries}</ul></section>')


def _named(sentence: str) -> str:
    """Return a sentence in which options have the names of their controls."""
    for field, label in LABELS.items():
        sentence = sentence.replace(f"`{field}`", f"“{label}”")
    return sentence.replace("state “", "set “")


def _picker(draft: Draft, field: str, shown: Mapping[str, str], inferred: str | None) -> None:
    """Draw a picker whose first option is what was understood of the file."""
    known = shown.get(inferred, inferred) if inferred is not None else None
    shown_as = draft.shown.reading
    is_clear = draft.shown.dataset is not None or (field in ROLES and shown_as.user and shown_as.item)
    unknown = "not clear yet" if not is_clear else "none" if field in ROLES[2:] else "not needed"
    first = f"{known} (from the file)" if known is not None else unknown
    stated = st.session_state.get(_key(draft, field))

    def text(option: str) -> str:
        return plain(first if option == AS_READ and not stated else shown.get(option, option) or "as the file says")

    st.selectbox(LABELS[field], [AS_READ, *shown], key=_key(draft, field), format_func=text,
                 accept_new_options=field == "time_unit")  # fmt: skip


def _scale_text(text: str | None) -> str:
    """Return the scale that was understood, without digits that it does not need, or an example."""
    if not text:
        return "such as 1 to 5"
    low, high = map(float, text.split(","))
    return f"{low:g} to {high:g} (from the file)"


def _note(problem: BadInput | None) -> None:
    if problem is not None:
        messages.field_error(problem.sentence(label_of, equals=": "))


def _draw_report(dataset: Dataset) -> None:
    """Draw what became of the rows."""
    st.caption(
        " ".join(markdown(messages.as_sentence(line)) for line in dataset.cleaning.lines(words_of(dataset).ratings))
    )


def _draw_liked(draft: Draft, dataset: Dataset) -> None:
    """Draw from which rating on an item counts as liked, and how many rows do."""
    low, high = dataset.rating_range
    left, right = st.columns([1, 3], vertical_alignment="bottom")
    with left:
        positive = st.number_input(
            "Liked from", min(0.0, low), max(high, 0.0), value=dataset.like_threshold, step=0.5, format="%g",
            key=_liked_key(draft, dataset), help="What models learn from and are tested on. 0: every row counts.",
        )  # fmt: skip
    with right:
        st.caption(markdown(datasets.liked_text(dataset, positive)))


def use(draft: Draft) -> str:
    """Keep the upload, and return its name for the sidebar. For callbacks."""
    dataset = draft.shown.dataset
    if dataset is None:
        raise BadInput("upload", problem="is not understood yet", remedy="answer what the preview asks")
    return uploads.keep(visitor_id(), draft.name, draft.content, dataset).id
