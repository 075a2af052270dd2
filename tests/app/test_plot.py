"""Charts: where names stand, hostile names, the labels on bars, and the data to download."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui.plot import free_sides, short


def test_names_of_points_close_together_stand_apart() -> None:
    assert free_sides([0.5], [0.5], ["MF"]) == ["top center"]
    one, other = free_sides([0.50, 0.53], [0.5, 0.5], ["EASE", "MF"])
    assert one != other
    assert set(free_sides([0.77, 0.86], [0.86, 0.87], ["EASE", "MF"])) != {"bottom center"}, "one word on a phone"
    low, high = free_sides([0.5, 0.5], [0.50, 0.58], ["EASE", "MF"])
    assert low != "top center"  # where the other point is
    assert high == "top center"


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.5), (1.0, 0.5), (0.5, 1.0), (0.5, 0.0)])
def test_a_name_stays_inside_the_chart(x: float, y: float) -> None:
    (side,) = free_sides([x], [y], ["Popularity"])
    level, _, across = side.partition(" ")
    assert (x, across) not in ((0.0, "left"), (0.0, "center"), (1.0, "right"), (1.0, "center"))
    assert (y, level) not in ((1.0, "top"), (0.0, "bottom"))


def page() -> None:
    import pandas as pd

    from pages.ui import plot

    table = pd.DataFrame({"genre": ["<b>Drama</b>", "=War"], "films": [36_920, 7]})
    plot.bars(table, "genres", alt="Bars", lying=True)


def test_bars_carry_their_counts_and_hostile_names_are_text() -> None:
    app = AppTest.from_function(page).run()
    assert not app.exception
    (chart,) = app.get("plotly_chart")
    (bars,) = json.loads(chart.proto.spec)["data"]
    assert bars["text"] == ["37k", "7"]
    assert bars["customdata"] == ["36,920", "7"]
    assert bars["y"] == ["&lt;b&gt;Drama&lt;/b&gt;", "=War"]
    (button,) = app.get("download_button")
    assert button.proto.label == "Download the data"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (1_000, "1.0k"), (9_168, "9.2k"), (9_960, "10k"), (321_400, "321k"), (999_700, "1.0M"),
     (8_835_955, "8.8M"), (12_000_000, "12M")],
)  # fmt: skip
def test_counts_on_bars_are_narrow(count: int, text: str) -> None:
    assert short(count) == text
