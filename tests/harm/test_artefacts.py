"""Robustness of stored models: kills, flipped bits, truncation, strange formats, many processes, a full disk."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import signal
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import Any

import pytest
import torch

import recengine.experiments.store as store_module
import recengine.files as files_module
from recengine.data.interactions import Interactions
from recengine.experiments.store import ArtefactStore, Origin, Trained, _seal
from recengine.files import sha256_of
from recengine.models.base import Recommender
from recengine.models.registry import model_class
from tests.harm.conftest import LONG, on_small_disk

KILLS, FLIPS = (200, 1_000) if LONG else (25, 150)


def fitted(n_items: int = 40) -> Recommender:
    pairs = torch.arange(n_items).numpy()
    return model_class("ease")().fit(Interactions.from_pairs(pairs % 7, pairs, n_users=7, n_items=n_items))


@pytest.fixture
def stored(tmp_path: Path) -> Trained:
    return ArtefactStore(tmp_path).obtain(tmp_path / "ease-x", fitted, Origin("made up"))


# Bit rot --------------------------------------------------------------------------------------------------------


def test_no_flipped_bit_of_any_file_is_served(stored: Trained, tmp_path: Path) -> None:
    """A flip is refused unless it changes nothing (such as the case of the e in a number)."""
    store, luck = ArtefactStore(tmp_path), random.Random(3)
    whole = {path.name: path.read_bytes() for path in stored.folder.iterdir()}
    refused = dict.fromkeys(whole, 0)
    for n in range(FLIPS):
        name = sorted(whole)[n % len(whole)]
        content = bytearray(whole[name])
        content[luck.randrange(len(content))] ^= 1 << luck.randrange(8)
        (stored.folder / name).write_bytes(content)
        trained = store.find(stored.folder)
        if trained is None:
            refused[name] += 1
            (aside,) = (tmp_path / "quarantine").iterdir()
            assert (aside / "error.txt").read_text().strip()
            shutil.rmtree(aside)
        else:
            assert trained.manifest == stored.manifest
            shutil.rmtree(stored.folder)
        stored.folder.mkdir()
        for other, text in whole.items():
            (stored.folder / other).write_bytes(text)
    assert refused["model.safetensors"] == refused["model.json"] == FLIPS // 3
    assert refused["manifest.json"] > 0.95 * FLIPS // 3
    assert store.find(stored.folder) is not None


def test_no_truncated_file_is_served_and_each_is_trained_anew(stored: Trained, tmp_path: Path) -> None:
    store, luck = ArtefactStore(tmp_path), random.Random(4)
    for n in range(50):
        path = sorted(stored.folder.iterdir())[n % 3]
        content = path.read_bytes()
        path.write_bytes(content[: luck.randrange(len(content))])
        assert store.obtain(stored.folder, fitted, Origin()).fresh
    assert len(list((tmp_path / "quarantine").iterdir())) == 50


class Payload:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


def swap(folder: Path) -> None:
    other = folder.parent / "other"
    ArtefactStore(folder.parent).obtain(other, lambda: fitted(41), Origin())
    shutil.copy(other / "model.safetensors", folder / "model.safetensors")
    shutil.rmtree(other)


def rewrite(**changes: Any) -> Callable[[Path], None]:
    """Return a change of the manifest that carries the right checksum again."""

    def change(folder: Path) -> None:
        path = folder / "manifest.json"
        content = {**json.loads(path.read_text()), **changes}
        content.pop("sha256")
        path.write_text(json.dumps({**content, "sha256": _seal(content)}))

    return change


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps(Payload(folder.parent / "ran")))
    files = {path.name: sha256_of(path) for path in folder.iterdir() if path.name != "manifest.json"}
    rewrite(files=files)(folder)


def edited(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace("made up", "made op"))


@pytest.mark.parametrize(
    "damage", [swap, pickled, edited, rewrite(format=1), rewrite(format=99), rewrite(format="2"), rewrite(model="mf")]
)
def test_swapped_forged_older_and_newer_artefacts_are_set_aside_and_no_code_runs(
    stored: Trained, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    damage(stored.folder)
    assert ArtefactStore(tmp_path).obtain(stored.folder, fitted, Origin()).fresh
    assert not (tmp_path / "ran").exists()
    assert len(list((tmp_path / "quarantine").iterdir())) == 1


# Kills ----------------------------------------------------------------------------------------------------------


def save_for_ever(root: Path, n: int, saved: Event) -> None:
    store = ArtefactStore(root)
    while True:
        n += 1
        store.obtain(root / "ease-x", lambda n=n: fitted(30 + n % 20), Origin(ratings=30 + n % 20), force=True)  # type: ignore[misc]
        saved.set()


def clean_processes() -> ForkServerContext:
    """Return what starts processes from one that has started no threads: a fork of a process with threads may hang."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def test_a_process_killed_while_it_saves_leaves_one_whole_version(tmp_path: Path) -> None:
    luck, context = random.Random(1), clean_processes()
    versions: set[int] = set()
    store = ArtefactStore(tmp_path)
    store.obtain(tmp_path / "ease-x", lambda: fitted(30), Origin(ratings=30))
    for kill in range(KILLS):
        saved = context.Event()
        child = context.Process(target=save_for_ever, args=(tmp_path, kill, saved))
        child.start()
        assert saved.wait(60)
        time.sleep(luck.random() * 0.1)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        trained = store.find(tmp_path / "ease-x")
        assert trained is not None
        assert trained.model.n_items == trained.manifest.origin.ratings
        versions.add(trained.manifest.origin.ratings)
        assert not (tmp_path / "quarantine").exists(), "a half-written artefact had its name"
    assert len(versions) > 3
    for left in tmp_path.glob(".*.tmp"):
        os.utime(left, (0, 0))
    store.obtain(tmp_path / "ease-x", fitted, Origin(), force=True)
    assert not [*tmp_path.glob(".*.tmp"), *tmp_path.glob(".*.old")]


def want(root: Path, start: Barrier, results: Any) -> None:
    def train() -> Recommender:
        with (root / "trainings").open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(60 if len((root / "trainings").read_text().split()) == 1 else 0.1)
        return fitted()

    start.wait(60)
    trained = ArtefactStore(root / "models").obtain(root / "models" / "ease-x", train, Origin())
    results.put((os.getpid(), trained.fresh, trained.manifest.files))


def test_one_of_eight_processes_trains_and_another_takes_over_when_it_is_killed(tmp_path: Path) -> None:
    context = clean_processes()
    start, results = context.Barrier(8), context.Queue()
    (tmp_path / "models").mkdir()
    (tmp_path / "trainings").touch()
    eight = [context.Process(target=want, args=(tmp_path, start, results)) for _ in range(8)]
    for process in eight:
        process.start()
    for _ in range(1_000):
        if (tmp_path / "trainings").read_text():
            break
        time.sleep(0.01)
    (holder,) = map(int, (tmp_path / "trainings").read_text().split())
    os.kill(holder, signal.SIGKILL)
    answers = [results.get(timeout=60) for _ in range(7)]
    for process in eight:
        process.join(60)
    assert [fresh for _, fresh, _ in answers].count(True) == 1
    assert len((tmp_path / "trainings").read_text().split()) == 2
    assert len({json.dumps(files, sort_keys=True) for *_, files in answers}) == 1


# A full disk ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", range(1, 9))
def test_a_write_that_fails_at_any_step_leaves_the_old_artefact_and_recovers(
    tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps: save, two checksums, four syncs, and after the rename the last sync (8)."""
    store = ArtefactStore(tmp_path)
    old = store.obtain(tmp_path / "popularity-x", lambda: fitted(30), Origin())
    calls = 0

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == step:
                raise OSError(28, "No space left on device")
            return real(*given, **named)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(type(old.model), "save", failing(type(old.model).save))
        patch.setattr(store_module, "sha256_of", failing(store_module.sha256_of))
        patch.setattr(files_module, "sync", failing(files_module.sync))
        with pytest.raises(OSError, match="No space left"):
            store.obtain(tmp_path / "popularity-x", lambda: fitted(31), Origin(), force=True)
    trained = store.find(tmp_path / "popularity-x")
    assert trained is not None
    assert trained.model.n_items == (31 if step == 8 else 30)
    assert store.obtain(tmp_path / "popularity-x", lambda: fitted(32), Origin(), force=True).fresh
    assert not [*tmp_path.glob(".*.tmp"), *tmp_path.glob(".*.old")]


def test_a_full_disk_is_one_sentence_on_the_command_line_and_costs_no_artefact(tmp_path: Path) -> None:
    script = """
    set -u
    export RECENGINE_HOME="$DISK"
    run() { "$PYTHON" -m recengine "$@" --dataset sample --quiet; }
    run train popularity >/dev/null || exit 90
    head -c 100m /dev/zero > "$DISK/filler" 2>/dev/null
    run train ease; echo "status $?"
    run recommend --model popularity --user 1 -k 3 >/dev/null || exit 91
    rm "$DISK/filler"
    run train ease >/dev/null || exit 92
    """
    done = on_small_disk(script, tmp_path, megabytes=14)
    assert done.returncode == 0, done
    assert done.stdout == "status 1\n"
    (line,) = done.stderr.splitlines()
    assert line.startswith("recengine: failed: ")
    assert "No space left on device" in line


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    script = """
    mount -o remount,ro "$DISK"
    RECENGINE_HOME="$DISK/home" "$PYTHON" -m recengine train popularity --dataset sample --quiet
    echo "status $?"
    """
    done = on_small_disk(script, tmp_path, megabytes=14)
    assert done.stdout == "status 2\n", done
    (line,) = done.stderr.splitlines()
    assert line.startswith("recengine: RECENGINE_HOME ")
    assert "cannot be written (Read-only file system); set RECENGINE_HOME to a folder" in line
