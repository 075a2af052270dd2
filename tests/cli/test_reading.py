"""How a table is read, stated on the command line, with a line on standard error for each thing that was inferred."""

import json
from pathlib import Path

import pytest

from recengine.cli import main
from recengine.cli.arguments import Parser, add_reading, reading_flags, reading_of
from recengine.data.reading import OPTIONS, Reading
from tests.support.archives import written

RATINGS = "".join(f"{user},{item},{(user * item) % 5 + 1}\n" for user in range(1, 7) for item in range(1, 7))
EVENTS = "customer,product,kind\n" + "".join(f"u {u},p {i},{'buy' if u == i else 'view'}\n" for u in range(6)
                                             for i in range(6) if u != i + 1)  # fmt: skip


def test_a_reading_comes_back_from_its_flags() -> None:
    command = Parser(prog="x")
    add_reading(command)
    for reading in (
        Reading(),
        Reading(user="last, first", item="=1", header=False, separator="\t", scale=(-1.0, 1.0), time_unit="%d/%m/%Y"),
        Reading(event="kind", weights=(("add to cart", 2.0), ("-buy", -5.0)), aggregate="sum", feedback="implicit"),
        Reading(layout="wide", user="who", separator="::"),
    ):
        assert reading_of(command.parse_args(reading_flags(reading))) == reading
    assert reading_of(command.parse_args(["--scale", "-1,1"])) == Reading(scale=(-1.0, 1.0))
    assert {action.dest for action in command._actions} - {"help"} == set(OPTIONS)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def test_c8_a_table_without_a_header_is_refused_by_its_flag_and_read_when_it_is_stated(
    tmp_path: Path, fresh_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(written(tmp_path, RATINGS))
    code, _, err = run(capsys, "train", "popularity", "--dataset", path)
    assert code == 2
    assert "--header is missing: the first line of mine.csv" in err
    assert "state --header none" in err
    code, _, err = run(capsys, "train", "popularity", "--dataset", path, "--header", "none")
    assert code == 0
    assert "Without a header, user is column 1, item is column 2, rating is column 3." in err
    assert "Ratings run from 1 to 5; 4 or more counts as liked." in err


def test_m7_events_are_weighted_and_named_from_the_command_line(
    tmp_path: Path, fresh_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(written(tmp_path, EVENTS))
    columns = "--columns", "event=kind"
    code, _, err = run(capsys, "train", "popularity", "--dataset", path, *columns)
    assert code == 0
    assert "Every event (buy, view) counts as 1; state --weights to tell them apart." in err
    recommend = "recommend", "--dataset", path, "--model", "popularity", "--all-users", "-k", "1", "--json"
    code, out, err = run(capsys, *recommend, *columns, "--weights", "view=1,buy=5", "--aggregate", "max")
    assert code == 0
    assert "Every event" not in err
    assert json.loads(out)
    code, _, err = run(capsys, *recommend, *columns, "--weights", "view=1")
    assert code == 2
    assert "add it to --weights" in err


def test_a_registered_data_set_is_read_as_it_is_known(fresh_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "train", "popularity", "--dataset", "sample", "--scale", "1,5")
    assert code == 2
    assert "--scale '1.0,5.0' is not for sample, whose form is known; leave it out" in err
