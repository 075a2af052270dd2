"""`run` carries out an experiment file: the figures of `evaluate` and `stream`, kept cell by cell, whatever fails."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from recengine.models.registry import MODELS
from tests.cli.conftest import json_of

COSTS = {"train_seconds", "evaluate_ms_per_user", "events_per_second"}
POPULAR = "def recommend(user_id, history, k, learned):\n    return learned\n"
"""The end of a custom model that lists what its `learn` has returned."""


def experiment(
    path: Path, folder: Path, models: str, splits: str = '[[splits]]\nsplit = "leave-last"', top: str = ""
) -> Path:
    path.write_text(f"datasets = ['{folder}']\n{top}\n{splits}\n{models}\n", encoding="utf-8")
    return path


def models(*names: str) -> str:
    return "\n".join(f'[[models]]\nmodel = "{name}"' for name in names)


def without_costs(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_costs(part) for key, part in value.items() if key not in COSTS}
    return [without_costs(part) for part in value] if isinstance(value, list) else value


@pytest.fixture
def custom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that registers custom models, given by the body of their `learn`."""

    def register(**bodies: str) -> None:
        paths = [tmp_path / f"{name}.py" for name in bodies]
        for path, body in zip(paths, bodies.values(), strict=True):
            learn = f"def learn(ratings):\n    {body}\n    return list(ratings.item_id.unique())\n"
            path.write_text(f"import os, signal, time\n\n\n{learn}\n\n{POPULAR}", encoding="utf-8")
        monkeypatch.setenv("RECENGINE_MODELS", os.pathsep.join(map(str, paths)))
        monkeypatch.setattr(MODELS, "_loaded", None)

    return register


def test_a_run_gives_what_evaluate_and_stream_give_to_the_last_digit(run, folder: Path, tmp_path: Path) -> None:
    splits = """
        [[splits]]
        name = "P1"
        split = "leave-last"
        mask = "positives"
        [[splits]]
        split = "cold-user"
        folds = 3
        given = [1, 6]
        targets_after = 8
        [[splits]]
        split = "stream"
        positive = 4
    """
    chosen = models("popularity", "stream-item-knn") + '\n[[models]]\nmodel = "ease"\nset = { l2 = 9 }'
    file = experiment(tmp_path / "three.toml", folder, chosen, splits, "seeds = 2\nk = [10, 5]")
    p1, cold, stream = json_of(run("run", file, "--json"))["tables"]
    evaluate = ["evaluate", "popularity", "stream-item-knn", "ease", "--dataset", folder, "--set", "ease.l2=9"]
    evaluate += ["--seeds", 2, "-k", "10,5", "--json"]
    expected = json_of(run(*evaluate, "--split", "leave-last", "--mask", "positives"))
    assert without_costs(p1["evaluation"]) == without_costs(expected)
    assert expected["behind_leader"]
    folds = ["--split", "cold-user", "--folds", 3, "--given", "1,6", "--targets-after", 8]
    assert without_costs(cold["evaluation"]) == without_costs(json_of(run(*evaluate, *folds)))
    replay = json_of(run("stream", "--dataset", folder, "--model", "stream-item-knn", "--positive", 4, "--json"))
    assert without_costs(stream["stream"]) == without_costs(replay)
    assert stream["refused"].keys() == {"popularity", "ease"}


def test_what_is_measured_is_kept_when_a_run_is_interrupted(run, folder: Path, tmp_path: Path, custom) -> None:
    mark, out = tmp_path / "mark", tmp_path / "out"
    mark.touch()
    custom(stopping=f"if os.path.exists('{mark}'): raise KeyboardInterrupt")
    file = experiment(tmp_path / "stopped.toml", folder, models("popularity", "stopping", "ease"))
    status, _, noted = run("run", file, "--out", out)
    assert status == 1
    assert "1 of 3 cells are kept" in noted
    (kept,) = (out / "cells").glob("[!.]*")
    before = kept.stat().st_mtime_ns
    mark.unlink()
    status, text, noted = run("run", file, "--out", out)
    assert status == 0
    assert "3 cells, 1 measured before" in noted
    assert kept.stat().st_mtime_ns == before
    assert text == (out / "stopped.md").read_text()
    assert "3 cells, 3 measured before" in run("run", file, "--out", out, "--resume")[2]
    assert "3 cells, 0 measured before" in run("run", file, "--out", out, "--no-resume")[2]
    assert kept.stat().st_mtime_ns > before


def test_a_cell_that_fails_is_named_and_takes_no_other_with_it(run, folder: Path, tmp_path: Path, custom) -> None:
    custom(broken="raise RuntimeError('out of | order')")
    splits = '[[splits]]\nsplit = "leave-last"\n[[splits]]\nsplit = "u1"'
    file = experiment(tmp_path / "some.toml", folder, models("popularity", "demographic", "broken", "ease"), splits)
    status, text, noted = run("run", file)
    assert status == 0
    assert "failed in learn" in noted
    assert "\n- broken refused: " in text
    assert "out of \\| order" in text
    assert "\n| demographic |  |" in text
    assert "u1 has no results" in noted
    ours, u1 = json_of(run("run", file, "--json"))["tables"]
    assert ours["evaluation"]["results"].keys() == {"popularity", "ease"}
    assert ours["refused"].keys() == {"demographic", "broken"}
    assert u1["problem"]
    assert "4 cells, 2 measured before" in run("run", file)[2]
    alone = experiment(tmp_path / "alone.toml", folder, models("broken"))
    status, text, _ = run("run", alone)
    assert status == 0
    assert "No results: no model has any.\n\n- broken refused: model 'broken' failed in learn" in text


def test_a_damaged_cell_is_measured_again(run, folder: Path, tmp_path: Path) -> None:
    file, out = experiment(tmp_path / "damaged.toml", folder, models("popularity", "ease")), tmp_path / "out"
    first = run("run", file, "--out", out)[1]
    cell = next((out / "cells").glob("ease-*"))
    content = bytearray(cell.read_bytes())
    content[len(content) // 2] ^= 1
    cell.write_bytes(content)
    _, again, noted = run("run", file, "--out", out)
    assert "2 cells, 1 measured before" in noted
    assert again == first


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("seeds = 0", "seeds=0"),
        ("seed = true", "seed 'True'"),
        ("sedes = 2", "did you mean 'seeds'"),
        ("k = []", "k is empty"),
        ("[[models]]\nmodel = 'eaze'", "eaze"),
        ("[[models]]\nmodel = 'ease'\nset = { l3 = 1 }", "l3"),
        ("[[models]]\nmodel = 'ease'", "'ease' stands there twice"),
        ("[[models]]\nmodel = 'mf'\ngrid = { l2 = 1 }", "models.grid.l2"),
        ("[[splits]]\nsplit = 'stream'\ngiven = [1]", "splits[1].given"),
        ("[[splits]]\nsplit = 'time'\nmask = 'all'", "mask 'all'"),
        ("[[columns]]\nmetric = 'ndcg@10'\nsplit = 'later'", "columns.split 'later'"),
        ("[[published]]\nmodel = 'X'\nfigures = {}\nprotocol = 'the same'", "published.source is missing"),
        ("[[published]]\nmodel='X'\nfigures={a=1}\nprotocol='p'\nsource='s'", "published.figures.a"),
        ("=", "is no TOML"),
    ],
)
def test_a_mistake_in_the_file_is_named_before_anything_is_trained(
    run, folder: Path, tmp_path: Path, text: str, named: str
) -> None:
    top, more = ("", text) if text.startswith("[[") else (text, "")
    file = experiment(tmp_path / "wrong.toml", folder, models("ease") + "\n" + more, top=top)
    status, output, noted = run("run", file)
    assert (status, output) == (2, "")
    assert named in noted
    assert noted.count("\n") == 1


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_and_a_worker_that_dies_fails_its_cell_alone(
    run, folder: Path, tmp_path: Path, custom
) -> None:
    mark, out = tmp_path / "mark", tmp_path / "out"
    mark.touch()
    custom(
        waiting=f"while os.path.exists('{mark}'): time.sleep(0.01)",
        dying="os.kill(os.getpid(), signal.SIGKILL)",
    )
    file = experiment(tmp_path / "killed.toml", folder, models("dying", "waiting", "popularity", "ease", "item-knn"))
    command = [sys.executable, "-m", "recengine", "run", str(file), "--out", str(out), "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 60
        while len(list((out / "cells").glob("[!.]*.npz"))) < 3 and time.monotonic() < until:
            time.sleep(0.05)
        children = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGKILL)
        _, noted = process.communicate()
    assert "dying, seed 0: no results: failed: its process ended with status -9" in noted
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive, "workers live on without the process that started them"
    mark.unlink()
    custom(waiting=f"while os.path.exists('{mark}'): time.sleep(0.01)", dying="pass")
    noted = run("run", file, "--out", out)[2]
    assert "5 cells, 3 measured before" in noted
    (table,) = json.loads((out / "killed.json").read_text())["tables"]
    assert table["refused"] == {}
    expected = json_of(
        run("evaluate", "popularity", "ease", "item-knn", "--dataset", folder, "--split", "leave-last", "--json")
    )
    for name, figures in expected["results"].items():
        assert without_costs(table["evaluation"]["results"][name]) == without_costs(figures)
