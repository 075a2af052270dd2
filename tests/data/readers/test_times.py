"""Times in every form become the same seconds, and two forms in one column are refused."""

from datetime import UTC, datetime
from functools import partial

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recengine.data.build import build_dataset
from recengine.data.dataset import Dataset
from recengine.data.sources import from_frame
from tests.data.readers.forms import inferred, refusal, up

moments = st.lists(st.integers(10**8, 4 * 10**9), min_size=1, max_size=8)


def timed(cells: list[str], **stated: str) -> Dataset:
    lines = "".join(f'1,{row},{row % 5 + 1},"{cell}"\n' for row, cell in enumerate(cells))
    return up(f"user,item,rating,time\n{lines}", **stated)


@settings(max_examples=40, deadline=None)
@given(stamps=moments)
def test_m12_seconds_and_their_parts_and_dates_are_the_same_moments(stamps: list[int]) -> None:
    dates = [datetime.fromtimestamp(stamp, UTC) for stamp in stamps]
    forms = {
        "s": [str(stamp) for stamp in stamps],
        "ms": [f"{stamp * 1000 + 999}" for stamp in stamps],
        "us": [f"{stamp * 10**6 + 1}" for stamp in stamps],
        "ns": [f"{stamp * 10**9 + 999_999_999}" for stamp in stamps],
        "iso": [date.isoformat() for date in dates],
        "compact": [f"{date:%Y%m%d%H%M%S}" for date in dates],
    }
    for unit, cells in forms.items():
        data = timed(cells)
        assert (data.ratings.timestamp.tolist(), data.reading.time_unit) == (stamps, unit)
        assert timed(cells, time_unit=unit).ratings.timestamp.tolist() == stamps
        assert ("time_unit" in inferred(data)) == (unit != "s")
    pattern = timed([f"{date:%d/%m/%Y %H:%M:%S}" for date in dates], time_unit="%d/%m/%Y %H:%M:%S")
    assert pattern.ratings.timestamp.tolist() == stamps
    frame = pd.DataFrame({"user": 1, "item": range(len(stamps)), "rating": 3, "time": dates})
    for column in (frame["time"], frame["time"].dt.tz_convert("Asia/Tokyo"), frame["time"].dt.tz_localize(None),
                   frame["time"].astype("datetime64[ns, UTC]"), frame["time"].astype(str)):  # fmt: skip
        assert from_frame(frame.assign(time=column)).ratings.timestamp.tolist() == stamps


def test_m12_days_are_dates_in_either_form() -> None:
    day = int(datetime(2024, 5, 31, tzinfo=UTC).timestamp())
    for cells in (["2024-05-31", "2024-06-01"], ["20240531", "20240601"], ["2024-05-31 00:00:00 UTC", "2024-06-01"]):
        assert timed(cells).ratings.timestamp.tolist() == [day, day + 86_400]
    assert "dates such as 20240531" in inferred(timed(["20240531"]))["time_unit"]
    assert timed(["20240531", "20240632"]).ratings.timestamp.tolist() == [20240531, 20240632]  # no 32nd of June
    assert timed(["20240531"], time_unit="s").ratings.timestamp.tolist() == [20240531]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["2020-01-01", "1577836800000"], "line 2 of x.csv has the time '2020-01-01', and line 3 of x.csv '157783680"),
        (["1577836800", "2020-01-01"], "they are of different kinds"),
        (["1577836800000", "1577836801"], "line 3 of x.csv has the time 1577836801, and line 2 of x.csv 1577836800000"),
        (["1577836800000000", "1577836801000"], "they are in different units; expected one unit for all"),
        (["1577836800", "soon"], "line 3 of x.csv has the timestamp 'soon'"),
        (["2020-01-01", ""], "line 3 of x.csv has the timestamp ''"),
        (["31/12/2020 10:00"], "or state time_unit, such as %d/%m/%Y %H:%M"),
        (["1577836800", "9" * 5_000], "line 3 of x.csv has the timestamp '9999"),
        (["2020-13-01"], "line 2 of x.csv has the timestamp '2020-13-01'"),
    ],
)
def test_m12_m14_a_time_in_another_form_is_refused_with_its_line(cells: list[str], words: str) -> None:
    assert words in refusal(lambda: timed(cells))


def test_what_is_stated_about_times_must_hold() -> None:
    assert "expected a date such as 20240531" in refusal(lambda: timed(["1577836800"], time_unit="compact"))
    assert "expected a time in the form %d/%m/%Y" in refusal(lambda: timed(["2020-01-01"], time_unit="%d/%m/%Y"))
    assert "has the timestamp '2020-01-01'" in refusal(lambda: timed(["2020-01-01"], time_unit="ms"))
    assert "has the timestamp '1577836800'" in refusal(lambda: timed(["1577836800"], time_unit="iso"))


@pytest.mark.parametrize("missing", [pd.NaT, None])
def test_m13_a_frame_of_dates_is_in_seconds_and_a_missing_one_is_refused(missing: object) -> None:
    frame = pd.DataFrame({"user_id": [1, 2], "item_id": [1, 2], "rating": [1.0, 2.0]})
    dated = frame.assign(timestamp=pd.to_datetime(["2020-01-01", "2020-01-02"]))
    undated = frame.assign(timestamp=pd.Series([pd.Timestamp("2020-01-01"), missing]))
    for load in (partial(build_dataset, "x"), from_frame):
        assert load(dated).ratings.timestamp.tolist() == [1577836800, 1577923200]
        assert "row 2" in refusal(partial(load, undated))
        assert "has no time" in refusal(partial(load, undated))


def test_c17_milliseconds_and_seconds_give_equal_data() -> None:
    ratings = "".join(f"{row % 3},{row},{row % 5 + 1},{{}}\n" for row in range(30))
    both = [
        up(
            "userId,movieId,rating,timestamp\n"
            + ratings.format(*(f"{1705912629 + 3600 * row}{zeros}" for row in range(30)))
        )
        for zeros in ("", "000")
    ]
    assert both[0].fingerprint == both[1].fingerprint
    assert "time_unit" not in inferred(both[0])
    assert inferred(both[1])["time_unit"] == "Times are milliseconds since 1970."
