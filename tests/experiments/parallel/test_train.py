"""Training by several processes: the same batches whatever their number, and nothing lost when one of them dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recengine.errors import BadInput
from recengine.experiments.parallel.checkpoint import Checkpoints
from recengine.experiments.parallel.train import train_in_parallel
from recengine.experiments.parallel.world import World
from recengine.experiments.train import TrainingRequest, learning_rows
from recengine.testing import small_dataset
from recengine.training.config import RunConfig
from tests.experiments.parallel.worker import CASES, SHARDS, main, request

ROOT = Path(__file__).parents[3]
ALONE = World(0, 1, SHARDS, torch.device("cpu"))
Results = dict[str, dict[str, Any]]


def torchrun(processes: int, folder: Path, *arguments: str, names: str = ";".join(CASES)) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command += ["-m", "tests.experiments.parallel.worker", str(folder), names, *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    return ran.returncode, ran.stdout, ran.stderr


def results(output: str) -> Results:
    return {row["case"]: row for row in map(json.loads, output.splitlines())}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("alone")
    return {name: train_alone(folder, name) for name in CASES}


def train_alone(folder: Path, name: str, *, resume: bool = False) -> dict[str, Any]:
    data = small_dataset()
    model, _ = train_in_parallel(request(data, name), ALONE, folder / name, resume=resume, split_items=CASES[name][2])
    log = [[each.loss, *each.metrics.values()] for each in model.training_log]
    return {"log": log, "scores": model.score(np.arange(model.n_users)).tolist()}


def agree(output: str, alone: Results, *names: str) -> None:
    together = results(output)
    assert list(together) == list(names)
    for name, row in together.items():
        for mine, theirs in zip(row["log"], alone[name]["log"], strict=True):
            assert mine == pytest.approx(theirs, abs=1e-5), name
        np.testing.assert_allclose(row["scores"], alone[name]["scores"], atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_four_processes_come_to_the_same_loss(alone: Results, tmp_path: Path) -> None:
    status, output, errors = torchrun(4, tmp_path)
    assert status == 0, errors
    agree(output, alone, *CASES)


def test_dealing_the_items_out_changes_nothing(alone: Results) -> None:
    whole, dealt = alone["mf"], alone["mf with items dealt out"]
    np.testing.assert_allclose(whole["log"], dealt["log"], atol=1e-6)
    np.testing.assert_allclose(whole["scores"], dealt["scores"], atol=1e-5)


@pytest.mark.parametrize("name", [name for name in CASES if "later" not in name])  # that starts from what is likely
def test_all_cases_learn(alone: Results, name: str) -> None:
    first, last = alone[name]["log"][0], alone[name]["log"][-1]
    assert last[0] < first[0]
    assert last[1] > first[1]


@pytest.mark.slow
def test_a_killed_process_ends_the_training_which_two_others_take_to_the_same_weights(
    alone: Results, tmp_path: Path
) -> None:
    began = time.monotonic()
    status, _, _ = torchrun(2, tmp_path, "dies", "2", names="mf")
    assert status != 0
    assert time.monotonic() - began < 60
    assert Checkpoints(tmp_path / "mf", ALONE, {}).epochs()[-1] == 1  # it died before the second was whole
    status, output, errors = torchrun(2, tmp_path, "resume", names="mf")
    assert status == 0, errors
    agree(output, alone, "mf")


class CrashError(Exception):
    """Stands for a crash."""


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("after", [1, 2])
def test_a_training_goes_on_where_it_was_interrupted(alone: Results, tmp_path: Path, name: str, after: int) -> None:
    def crash(result: Any) -> None:
        if result.epoch == after:
            raise CrashError

    wanted = request(small_dataset(), name)
    with pytest.raises(CrashError):
        train_in_parallel(wanted, ALONE, tmp_path / name, split_items=CASES[name][2], on_epoch=crash)
    again = train_alone(tmp_path, name, resume=True)
    assert again["log"] == alone[name]["log"]
    assert again["scores"] == alone[name]["scores"]
    assert train_alone(tmp_path, name, resume=True) == again  # nothing is left to do


def test_patience_runs_on_through_an_interruption(tmp_path: Path) -> None:
    wanted = TrainingRequest(small_dataset(), "mf", {"epochs": 30, "learning_rate": 0.3}, RunConfig(patience=3), 4.0)
    whole, _ = train_in_parallel(wanted, ALONE, tmp_path / "whole")
    last = len(whole.training_log) - 1
    assert last < 30

    def crash(result: Any) -> None:
        if result.epoch == last - 1:
            raise CrashError

    with pytest.raises(CrashError):
        train_in_parallel(wanted, ALONE, tmp_path / "parts", on_epoch=crash)
    parts, _ = train_in_parallel(wanted, ALONE, tmp_path / "parts", resume=True)
    figures = [[each.loss for each in model.training_log] for model in (whole, parts)]
    assert figures[0] == figures[1]
    assert torch.equal(whole.score([0, 1]), parts.score([0, 1]))


def test_what_cannot_go_on_is_said(tmp_path: Path) -> None:
    data = small_dataset()
    train_alone(tmp_path, "ials")
    with pytest.raises(BadInput, match="holds a training already"):
        train_alone(tmp_path, "ials")
    other = TrainingRequest(data, "ials", {"epochs": 3, "embedding_dim": 9}, RunConfig(), 4.0)
    with pytest.raises(BadInput, match="another config"):
        train_in_parallel(other, ALONE, tmp_path / "ials", resume=True)
    with pytest.raises(BadInput, match="by one process alone"):
        train_in_parallel(TrainingRequest(data, "ease"), ALONE, tmp_path / "ease")
    with pytest.raises(BadInput, match="by one process alone"):
        train_in_parallel(TrainingRequest(data, "gru"), ALONE, tmp_path / "gru")
    with pytest.raises(BadInput, match="multiple of the 3 processes"):
        World(0, 3, SHARDS, torch.device("cpu"))
    (damaged,) = (tmp_path / "ials").glob("epoch-00003/shared.safetensors")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(BadInput, match="is damaged"):
        train_alone(tmp_path, "ials", resume=True)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_every_user_is_in_one_shard_of_one_process(size: int) -> None:
    train, _ = learning_rows(request(small_dataset(), "mf"))
    worlds = [World(rank, size, SHARDS, torch.device("cpu")) for rank in range(size)]
    dealt = np.concatenate([world.own_users(train.n_users) for world in worlds])
    assert sorted(dealt) == list(range(train.n_users))
    for shard in range(SHARDS):
        assert shard in worlds[worlds[0].owner(shard)].own


def test_the_worker_prints_what_one_process_finds(
    alone: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(tmp_path, ["ials"], resume=False, dies=None)
    row = results(capsys.readouterr().out)["ials"]
    assert row["log"] == alone["ials"]["log"]
