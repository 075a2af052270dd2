"""Bad input is one line that names the value and the remedy, with exit status 2."""

import subprocess
import sys
from pathlib import Path

import pytest

EASE = ["--model", "ease"]


COLD, LAST = ["--split", "cold-user"], ["--split", "leave-last"]


BAD = {
    "an unknown command": (["recomend"], "recomend"),
    "no command": ([], "COMMAND"),
    "an unknown option": (["models", "--jsn"], "--jsn"),
    "an unknown data set": (["train", "ease", "--dataset", "ml-1000k"], "ml-1000k"),
    "an unknown data set to fetch": (["datasets", "fetch", "ml-1000k"], "ml-1000k"),
    "nothing to fetch": (["datasets", "fetch"], "is needed to fetch"),
    "a path that is not there": (["train", "ease", "--dataset", "none/at/all"], "none/at/all"),
    "an unknown model": (["train", "eaze", "--dataset", "D"], "did you mean 'ease'"),
    "an unknown model to evaluate": (["evaluate", "eaze", "--dataset", "D", "--split", "random"], "eaze"),
    "an unknown user": (["recommend", "--dataset", "D", *EASE, "--user", "999"], "user '999'"),
    "a user that is no number": (["recommend", "--dataset", "D", *EASE, "--user", "x\ny"], "expected a number such as"),
    "an endless user": (["recommend", "--dataset", "D", *EASE, "--user", "9" * 30], "9" * 30),
    "an unknown item": (["similar", "--dataset", "D", *EASE, "--item", "999"], "item '999'"),
    "no user": (["recommend", "--dataset", "D", *EASE], "--user is missing"),
    "profile without =": (["recommend", "--dataset", "D", *EASE, "--profile", "F"], "KEY=VALUE"),
    "profile for ease": (["recommend", "--dataset", "D", *EASE, "--profile", "gender=F"], "'ease'"),
    "two users": (["recommend", "--dataset", "D", *EASE, "--user", "1", "--all-users"], "drop it or --user"),
    "k of 0": (["recommend", "--dataset", "D", *EASE, "--user", "1", "-k", "0"], "k=0"),
    "k below 0": (["recommend", "--dataset", "D", *EASE, "--user", "1", "-k", "-3"], "k=-3"),
    "k beyond the catalogue": (["recommend", "--dataset", "D", *EASE, "--user", "1", "-k", "42"], "k=42"),
    "k beyond the similar": (["similar", "--dataset", "D", *EASE, "--item", "101", "-k", "41"], "k=41"),
    "k beyond the candidates": (["evaluate", "ease", "--dataset", "D", "--split", "random", "-k", "999"], "k=999"),
    "seeds beyond all": (
        ["evaluate", "ease", "--dataset", "D", "--seeds", "9" * 5_000],
        "not a whole number",
    ),
    "k that is no number": (["recommend", "--dataset", "D", *EASE, "--user", "1", "-k", "ten"], "ten"),
    "no similarity": (["similar", "--dataset", "D", "--model", "popularity", "--item", "101"], "popularity"),
    "no fold-in": (["recommend", "--dataset", "D", "--model", "random", "--ratings", "GOOD"], "random"),
    "a setting out of range": (["train", "ease", "--dataset", "D", "--set", "l2=-1"], "l2=-1"),
    "a setting of nan": (["train", "ease", "--dataset", "D", "--set", "l2=nan"], "l2=nan"),
    "a huge setting": (["train", "mf", "--dataset", "D", "--set", f"epochs={'9' * 400}"], "epochs=999"),
    "an unknown setting": (["train", "ease", "--dataset", "D", "--set", "l3=1"], "l3 is not an option of 'ease'"),
    "a setting without a value": (["train", "ease", "--dataset", "D", "--set", "l2"], "'l2'"),
    "a setting of no model": (["evaluate", "ease", "--dataset", "D", "--split", "random", "--set", "l2=1"], "l2"),
    "an unknown model to tune": (["tune", "eaze", "--dataset", "D"], "did you mean 'ease'"),
    "nothing to tune": (["tune", "popularity", "--dataset", "D"], "nothing left to search"),
    "no trials": (["tune", "ease", "--dataset", "D", "--trials", "0"], "'0'"),
    "no time to tune": (["tune", "ease", "--dataset", "D", "--timeout", "0"], "'0'"),
    "a search without a value": (["tune", "ease", "--dataset", "D", "--search", "l2"], "--search 'l2'"),
    "a search upside down": (["tune", "ease", "--dataset", "D", "--search", "l2=9:1"], "l2=9:1"),
    "a search of no setting": (["tune", "ease", "--dataset", "D", "--search", "l3=1:9"], "l3"),
    "a search out of range": (["tune", "ease", "--dataset", "D", "--search", "l2=-1:9"], "l2=-1"),
    "a search of what is set": (["tune", "ease", "--dataset", "D", "--search", "l2=1:9", "--set", "l2=3"], "l2"),
    "a bad setting to tune": (["tune", "ease", "--dataset", "D", "--set", "l2=-1"], "l2=-1"),
    "an unknown split": (["evaluate", "ease", "--dataset", "D", "--split", "lastone"], "lastone"),
    "an unpublished split": (["evaluate", "ease", "--dataset", "D", "--split", "u1"], "u1"),
    "no seeds": (["evaluate", "ease", "--dataset", "D", "--split", "random", "--seeds", "0"], "0"),
    "negative negatives": (["evaluate", "ease", "--dataset", "D", "--split", "random", "--negatives", "-1"], "-1"),
    "a share of 0": (["evaluate", "ease", "--dataset", "D", "--split", "random", "--test-share", "0"], "share=0"),
    "a share of 1": (["evaluate", "ease", "--dataset", "D", "--split", "random", "--test-share", "1"], "share=1"),
    "a seed below 0": (["evaluate", "ease", "--dataset", "D", "--split", "random", "--seed", "-1"], "-1"),
    "a training seed below 0": (["train", "ease", "--dataset", "D", "--seed", "-1"], "seed=-1"),
    "a threshold above all": (["train", "ease", "--dataset", "D", "--positive", "9"], "positive=9"),
    "a threshold of nan": (["train", "ease", "--dataset", "D", "--positive", "nan"], "positive=nan"),
    "an unknown device": (["train", "ease", "--dataset", "D", "--device", "gpu"], "gpu"),
    "a cold user and no fold-in": (["evaluate", "random", "--dataset", "D", "--split", "cold-user"], "random"),
    "numbers given that are none": (["evaluate", "ease", "--dataset", "D", *COLD, "--given", "1,x"], "'x'"),
    "numbers given to no cold user": (["evaluate", "ease", "--dataset", "D", *LAST, "--given", "1,2"], "--given '1,2'"),
    "targets that are given": (
        ["evaluate", "ease", "--dataset", "D", *COLD, "--given", "5", "--targets-after", "3"],
        "given=5",
    ),
    "targets of no cold user": (["evaluate", "ease", "--dataset", "D", *LAST, "--targets-after", "3"], "after=3"),
    "folds of no cold user": (["evaluate", "ease", "--dataset", "D", *LAST, "--folds", "3"], "folds=3"),
    "too few folds": (["evaluate", "ease", "--dataset", "D", *COLD, "--folds", "2"], "'2'"),
    "folds and a share": (
        ["evaluate", "ease", "--dataset", "D", *COLD, "--folds", "3", "--test-share", "0.2"],
        "folds=3",
    ),
    "pairs that are not there": (["score", "--dataset", "D", *EASE, "--pairs", "no.csv", "--out", "o.csv"], "no.csv"),
    "ratings that are not there": (["recommend", "--dataset", "D", *EASE, "--ratings", "no.csv"], "no.csv"),
    "ratings out of range": (["recommend", "--dataset", "D", *EASE, "--ratings", "HIGH"], "'11'"),
    "a folder without ratings": (["train", "ease", "--dataset", "EMPTY"], "ratings.csv"),
    "a ragged file": (["train", "ease", "--dataset", "RAGGED"], "line 3"),
    "a rating of nan": (["train", "ease", "--dataset", "NAN"], "nan"),
    "a rating out of range": (["train", "ease", "--dataset", "RANGE"], "11"),
    "an empty file": (["train", "ease", "--dataset", "BLANK"], "empty"),
    "no zip": (["train", "ease", "--dataset", "NOZIP"], "zip"),
}


@pytest.fixture(scope="module")
def files(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the files that `BAD` names in capitals."""
    directory = tmp_path_factory.mktemp("bad")
    (directory / "empty").mkdir()
    head = "userId,movieId,rating\n1,2,3\n"
    texts = {
        "GOOD": "item_id,rating\n101,5\n",
        "HIGH": "item_id,rating\n101,11\n",
        "RAGGED": head + "1,3,4,5\n",
        "NAN": head + "1,3,nan\n",
        "RANGE": head + "1,3,11\n",
        "BLANK": "",
    }
    for name, text in texts.items():
        (directory / f"{name.lower()}.csv").write_text(text)
    (directory / "some.zip").write_text("this is no zip")
    return {
        "D": folder,
        "EMPTY": directory / "empty",
        "NOZIP": directory / "some.zip",
        **{name: directory / f"{name.lower()}.csv" for name in texts},
    }


@pytest.mark.parametrize("case", BAD, ids=[name.replace(" ", "-") for name in BAD])
def test_bad_input_is_one_line_that_names_it_and_exit_2(run, files, tmp_path: Path, monkeypatch, case: str) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, words = BAD[case]
    status, output, noted = run(*(files.get(a, a) for a in arguments), *(["--quiet", "--json"] if arguments else []))
    assert (status, output) == (2, ""), noted
    assert noted.count("\n") == 1
    assert noted.startswith("recengine: ")
    assert words in noted
    assert "Traceback" not in noted
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "ease", "--split", "random"],
        ["tune", "ease"],
        ["recommend", *EASE, "--all-users"],
        ["similar", *EASE, "--item", "101"],
        ["score", *EASE, "--pairs", "p.csv"],
        ["predict", "--model", "bias", "--pairs", "p.csv"],
        ["estimates", "--model", "bias"],
    ],
    ids=lambda command: command[0],
)
def test_an_out_that_cannot_be_written_is_noticed_before_any_work(
    run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setattr("recengine.cli.common.load_dataset", lambda *a, **k: pytest.fail("it loads the data first"))
    for out, words in ((tmp_path / "none" / "f.csv", "the folder"), (tmp_path, "name a file in it")):
        status, output, noted = run(*command, "--dataset", folder, "--out", out)
        assert (status, output) == (2, "")
        assert noted.startswith(f"recengine: --out '{out}'")
        assert words in noted
        assert noted.count("\n") == 1


def test_an_internal_error_is_one_line_and_exit_1(run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recengine.cli.common.load_dataset", lambda *a, **k: 1 / 0)
    status, output, noted = run("train", "ease", "--dataset", folder)
    assert (status, output) == (1, "")
    assert noted == "recengine: failed: ZeroDivisionError: division by zero\n"
    monkeypatch.setattr("recengine.cli.common.load_dataset", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
    assert run("train", "ease", "--dataset", folder)[0] == 1


@pytest.mark.slow
def test_the_module_runs_as_a_program_and_stands_a_reader_that_leaves() -> None:
    done = subprocess.run(
        f"{sys.executable} -m recengine models | head -n 1; {sys.executable} -m recengine bogus",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout.startswith("name")
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (["recommend", *EASE, "--user", "1", "--user", "2"], "--user"),
        (["recommend", *EASE, "--user=1", "--model", "mf"], "--model"),
        (["recommend", *EASE, "--user", "1", "-k", "5", "-k", "10"], "-k"),
        (["tune", "ease", "--split", "random", "--dataset", "ml-100k"], "--dataset"),
        (["evaluate", "ease", *LAST, "--split", "time"], "--split"),
        (["evaluate", "ease", *COLD, "--given", "5", "--given", "10"], "--given"),
        (["tune", "ease", "--trials", "3", "--trials", "9"], "--trials"),
        (["train", "ease", "--set", "l2=1", "--set", "l2=2"], "--set"),
        (["tune", "ease", "--search", "l2=1:9", "--search", "l2=2:8"], "--search"),
        (["recommend", *EASE, "--profile", "age=25,age=30"], "--profile"),
    ],
)
def test_m28_an_option_that_takes_one_value_is_refused_when_it_is_repeated(
    run, folder: Path, arguments: list[str], flag: str
) -> None:
    status, output, noted = run(*arguments, "--dataset", folder, "--quiet")
    assert (status, output, noted.count("\n")) == (2, "", 1)
    assert flag in noted
    assert "a second time" in noted or "give it once" in noted


def test_m28_options_that_take_several_values_still_do(run, folder: Path, fresh_home: Path) -> None:
    several = ["--set", "l2=3", "--set", "recency_floor=0.3"]
    assert run("train", "ease", "--dataset", folder, *several)[0] == 0
    models = ["--model", "recent-popularity", "--model", "stream-item-knn"]
    assert run("stream", "--dataset", folder, "--positive", 4, "--events", 20, *models)[0] == 0
