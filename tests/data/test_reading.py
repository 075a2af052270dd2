"""`Reading`: what can be stated, what contradicts itself, and its form as texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recengine.data.reading import OPTIONS, ROLES, Reading, like_from
from recengine.errors import BadInput

names = st.text(min_size=1, max_size=12)
numbers = st.floats(-1e6, 1e6)


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    kind = draw(st.sampled_from(["explicit", "implicit", "open"]))
    columns = draw(st.lists(names, min_size=5, max_size=5, unique=True))
    stated = {role: name for role, name in zip(ROLES, columns, strict=True) if draw(st.booleans())}
    more: dict[str, object] = {}
    if kind == "explicit":
        low, high = sorted(draw(st.lists(numbers, min_size=2, max_size=2, unique=True)))
        more["scale"] = (low, high)
    elif kind == "implicit" and "rating" not in stated:
        events = draw(st.lists(names, max_size=3, unique=True))
        more["weights"] = tuple((event, draw(numbers)) for event in events)
    return Reading(
        **stated,
        **more,  # type: ignore[arg-type]
        header=draw(st.sampled_from([None, True, False])),
        separator=draw(st.sampled_from([None, ",", ";", "\t", "|", " ", "::"])),
        time_unit=draw(st.sampled_from([None, "s", "ms", "ns", "iso", "compact", "%d/%m/%Y %H:%M"])),
        feedback=None if kind == "open" else kind,  # type: ignore[arg-type]
        aggregate=draw(st.sampled_from([None, "latest", "max"])),
    )


@given(reading=readings())
def test_a_reading_comes_back_from_its_texts(reading: Reading) -> None:
    try:
        again = Reading.of_texts(reading.texts())
    except BadInput:  # a name that holds the next option: it has no form as a text
        text = reading.texts()
        assert any(f",{role}=" in text.get("columns", "") for role in ROLES) or "," in text.get("weights", "")
        return
    assert (again, hash(again)) == (reading, hash(reading))


def test_a_scale_is_written_with_a_comma_or_in_words() -> None:
    for text in ("2,5", "2 to 5", " 2.0 , 5e0 "):
        assert Reading.of_texts({"scale": text}).scale == (2.0, 5.0), text


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"columns": "user"}, "columns 'user' is not a role and a column"),
        ({"columns": "price=x"}, "columns 'price=x' is not a role and a column"),
        ({"columns": "user=a,user=b"}, "names user twice"),
        ({"columns": "user=a,item=a"}, "'a' has two meanings"),
        ({"header": "maybe"}, "header 'maybe' is not known; expected yes, none"),
        ({"separator": "#"}, "separator '#' is not known"),
        ({"layout": "broad"}, "expected long, wide"),
        ({"scale": "5"}, "scale '5' is no scale; expected the lowest and the highest rating, such as 1,5"),
        ({"scale": "5,1"}, "scale '5,1' is no scale"),
        ({"scale": "1,1"}, "is no scale"),
        ({"scale": "0,inf"}, "is no scale"),
        ({"time_unit": "minutes"}, "time_unit 'minutes' is not known; expected s, ms"),
        ({"feedback": "both"}, "expected explicit, implicit"),
        ({"aggregate": "mean"}, "expected latest, max, sum, count"),
        ({"weights": "view"}, "weights 'view' cannot be read"),
        ({"weights": "view=much"}, "cannot be read"),
        ({"weights": "view=1,view=2"}, "names an event twice"),
        ({"scale": "1,5", "feedback": "implicit"}, "contradicts scale"),
        ({"weights": "view=1", "feedback": "explicit"}, "contradicts weights"),
        ({"weights": "view=1", "columns": "rating=stars"}, "so does the rating column"),
        ({"scale": "1,5", "aggregate": "sum"}, "is for events, and these are ratings on a scale"),
        ({"layout": "wide", "columns": "item=a"}, "has one column for each item"),
        ({"colums": "user=a"}, "is no option of reading (did you mean 'columns'?)"),
    ],
)
def test_what_cannot_be_stated_is_refused_by_its_option(texts: dict[str, str], words: str) -> None:
    with pytest.raises(BadInput) as refused:
        Reading.of_texts(texts)
    assert words in str(refused.value)
    assert refused.value.field in {*OPTIONS, "colums"}


def test_names_with_commas_and_equals_signs_can_be_stated() -> None:
    reading = Reading.of_texts({"columns": "user=last, first,item=a=b", "weights": "add to cart=2,buy, now=5e0"})
    assert (reading.user, reading.item) == ("last, first", "a=b")
    assert reading.weights == (("add to cart", 2.0), ("buy, now", 5.0))


@given(low=st.integers(-50, 50), span=st.integers(1, 100), factor=st.sampled_from([0.25, 2.0, 64.0]))
def test_the_threshold_of_likes_lies_three_quarters_up_a_scale_without_stars(
    low: int, span: int, factor: float
) -> None:
    high = low + span
    stars = (low >= 0 and 4 < high <= 5) or (low * factor >= 0 and 4 < high * factor <= 5)
    if not stars:
        assert like_from(low * factor, high * factor) == pytest.approx(like_from(low, high) * factor, abs=1e-6)
    assert low < like_from(low, high) <= high or (low, high) == (4, 5)  # stars, though no film had fewer
    assert like_from(low, high) != 0  # 0 stands for every rating
