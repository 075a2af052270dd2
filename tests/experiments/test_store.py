"""The artefact store: trained once, reused, never half written, never fatal."""

import ast
import itertools
import json
import os
import signal
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch

import recengine
import recengine.experiments.store as store_module
import recengine.files as files_module
from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.splits import make_split
from recengine.errors import BadInput
from recengine.experiments import train as training
from recengine.experiments.store import ArtefactStore, Origin, Trained, artefact_name
from recengine.experiments.train import TrainingRequest, available_memory, memory_needed, obtain
from recengine.files import sha256_of
from recengine.models.base import Recommender
from recengine.models.factors.mf import MF
from recengine.models.registry import model_class
from recengine.models.simple.baselines import Popularity
from recengine.training.config import RunConfig


@pytest.fixture
def store(tmp_path: Path) -> ArtefactStore:
    return ArtefactStore(tmp_path / "models")


@pytest.fixture
def get(tiny: Dataset, store: ArtefactStore) -> Callable[..., Trained]:
    """Return a function that calls `obtain` on `tiny` and the store of the test."""

    def get_one(name: str = "popularity", **options: Any) -> Trained:
        parameters = {key: options.pop(key) for key in ("force", "on_epoch", "store") if key in options}
        request = TrainingRequest(tiny, name, **{"run": RunConfig(device="cpu"), **options})
        return obtain(request, **{"store": store, **parameters})

    return get_one


def visible(root: Path) -> list[str]:
    """Return the artefact folders, those in the store under their final name."""
    return sorted(
        p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith(".") and p.name != "quarantine"
    )


def hidden(root: Path) -> list[str]:
    """Return temporary folders."""
    return [p.name for p in root.iterdir() if p.name.endswith(".tmp")]


# Trained once ---------------------------------------------------------------------------------------------------


def test_the_second_time_nothing_is_trained(get) -> None:
    first = get()

    def explode() -> Recommender:
        raise AssertionError("trained again")

    assert first.fresh
    again = ArtefactStore(first.folder.parent).obtain(first.folder, explode, Origin())
    assert not again.fresh
    assert torch.equal(again.model.score([0]), first.model.score([0]))
    assert again.manifest == first.manifest
    assert not get().fresh


def test_force_trains_again_and_leaves_one_artefact(get, store) -> None:
    first = get("random")
    assert get("random", force=True).fresh
    assert visible(store.root) == [first.folder.name]
    assert hidden(store.root) == []


def test_a_network_keeps_its_training_log_and_its_best_validation(get) -> None:
    trained = get("mf", settings={"epochs": "3", "embedding_dim": "4"})
    again = get("mf", settings={"epochs": 3, "embedding_dim": 4})
    assert [result.epoch for result in again.model.training_log] == [0, 1, 2, 3]
    best = max(result.metrics["valid_ndcg@10"] for result in trained.model.training_log)
    assert trained.manifest.metrics["valid_ndcg@10"] == best
    assert trained.manifest.epochs == trained.model.best_epoch


def test_the_manifest_records_what_was_trained_from_what(get, tiny) -> None:
    manifest = json.loads((get("ease", settings={"l2": 50}).folder / "manifest.json").read_text())
    assert (manifest["model"], manifest["dataset"], manifest["data"]) == ("ease", "tiny", tiny.fingerprint)
    assert (manifest["config"]["l2"], manifest["seed"], manifest["device"]) == (50.0, 0, "cpu")
    assert manifest["split"] == {"split": "all", "positive": 4.0}
    assert manifest["files"].keys() == {"model.json", "model.safetensors"}


def test_the_folder_of_a_model_is_known_without_training(tiny, fresh_home) -> None:
    folder = TrainingRequest(tiny, "popularity").folder
    assert not folder.exists()
    assert obtain(TrainingRequest(tiny, "popularity")).folder == folder
    assert TrainingRequest(tiny, "popularity", positive=3.0).folder != folder
    assert TrainingRequest(tiny, "mf", settings={"embedding_dim": 3}).folder != TrainingRequest(tiny, "mf").folder


def test_a_model_too_large_for_memory_is_refused_with_the_figure_and_the_parameter(tiny, get, monkeypatch) -> None:
    large = MF(MF.Config(embedding_dim=4096, batch_size=100_000))
    small = MF(MF.Config(embedding_dim=8))
    assert memory_needed(tiny, small) < memory_needed(tiny, large)
    tables = large.footprint(1_000_000, 50_000, 10_000_000)["embedding_dim"]
    assert tables >= 3 * 4 * 4096 * 1_050_000  # weights, gradients and at least one copy
    monkeypatch.setattr(training, "available_memory", lambda: 175_000_000)
    memory_needed(tiny, small)
    with pytest.raises(BadInput, match=r"batch_size=100000 needs about 0\.\d GB .* 0\.2 GB are free; lower batch_size"):
        memory_needed(tiny, large)
    monkeypatch.setattr(training, "available_memory", lambda: 1_000)
    with pytest.raises(BadInput, match=r"model 'ease' needs about .* on this data"):
        get("ease")
    monkeypatch.setattr(training, "available_memory", lambda: 200_000_000)
    for name in ("taste", "ease", "ials"):
        monkeypatch.setattr(
            model_class(name), "footprint", lambda self, *_: {"": 10 ** (7 if self.name == "ials" else 9)}
        )
    with pytest.raises(BadInput, match=r"choose 'ials', which takes about 0\.2 GB, or drop rare items"):
        get("ease")  # the first of those offered that fits


def test_available_memory_respects_the_container(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(training, "CONTAINER", tmp_path)
    machine = available_memory()
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("100\n")
    assert available_memory() == pytest.approx(machine, rel=0.5)
    (tmp_path / "memory.max").write_text("1100\n")
    assert available_memory() == 1000


def test_a_wrong_parameter_is_bad_input_before_anything_is_written(get, store) -> None:
    for settings in ({"l2": -1}, {"bogus": 1}, {"device": "abacus"}):
        with pytest.raises(BadInput):
            get("ease", settings=settings)
    assert not store.root.exists()


# The key --------------------------------------------------------------------------------------------------------


def test_all_that_changes_the_model_changes_the_key_and_the_device_does_not(
    tiny: Dataset, store: ArtefactStore
) -> None:
    kind = model_class("mf")
    base: dict[str, Any] = {
        "name": "mf",
        "config": kind.Config(),
        "fingerprint": tiny.fingerprint,
        "split": {"split": "all", "positive": 4.0},
        "run": RunConfig(device="cpu"),
    }
    changes: list[dict[str, Any]] = [
        {"name": "ease"},
        {"config": kind.Config.from_dict({"embedding_dim": 63})},
        {"config": kind.Config.from_dict({"loss": "bpr"})},
        {"fingerprint": "another"},
        {"split": {"split": "all", "positive": 3.0}},
        {"split": make_split(tiny, "random").options},
        {"split": make_split(tiny, "random", seed=1).options},
        {"run": RunConfig(device="cpu", seed=1)},
        {"run": RunConfig(device="cpu", epochs=9)},
        {"run": RunConfig(device="cpu", patience=9)},
    ]
    names = [artefact_name(**base), *(artefact_name(**{**base, **change}) for change in changes)]
    assert len(set(names)) == len(names)
    assert artefact_name(**{**base, "run": RunConfig(device="auto")}) == names[0]


def test_a_new_version_of_the_algorithm_is_trained_anew(get, monkeypatch: pytest.MonkeyPatch) -> None:
    first = get("ease")
    monkeypatch.setattr(model_class("ease"), "version", 99)
    assert get("ease").folder != first.folder


def test_every_field_of_every_config_is_in_the_key(store: ArtefactStore) -> None:
    """A parameter that the key ignored would serve the artefact of another model."""
    kind = model_class("mf")
    config = kind.Config()
    for field in config.to_dict():
        other = kind.Config()
        object.__setattr__(other, field, "changed")
        keys = {artefact_name("mf", c, "f", {}, RunConfig(device="cpu")) for c in (config, other)}
        assert len(keys) == 2, field


# Damage ---------------------------------------------------------------------------------------------------------


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def sealed(change: Callable[[Path], None]) -> Callable[[Path], None]:
    """Return a change of the folder after which the checksums of the manifest match again, as a forger would."""

    def change_and_seal(folder: Path) -> None:
        change(folder)
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["files"] = {name: sha256_of(folder / name) for name in manifest["files"] if (folder / name).exists()}
        del manifest["sha256"]
        (folder / "manifest.json").write_text(json.dumps({**manifest, "sha256": store_module._seal(manifest)}))

    return change_and_seal


def forged(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "model.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return sealed(change)


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "a flipped data bit": lambda f: flip(f / "model.safetensors", -1),
    "a flipped header bit": lambda f: flip(f / "model.safetensors", 20),
    "a truncated tensor file": lambda f: truncate(f / "model.safetensors"),
    "a changed description": lambda f: flip(f / "model.json", 30),
    "no manifest": lambda f: (f / "manifest.json").unlink(),
    "no tensor file": lambda f: (f / "model.safetensors").unlink(),
    "an empty manifest": lambda f: (f / "manifest.json").write_text(""),
    "a manifest of another shape": lambda f: (f / "manifest.json").write_text("[1, 2]"),
    "files of another shape": lambda f: (f / "manifest.json").write_text('{"files": [], "model": "ease"}'),
    "a manifest of an unknown model": lambda f: (f / "manifest.json").write_text('{"files": {}, "model": "x"}'),
    "a manifest that is no text": lambda f: (f / "manifest.json").write_bytes(b"\xff\xfe\x00"),
    "an empty folder": lambda f: [p.unlink() for p in f.iterdir()],
    "a forged header": sealed(lambda f: (f / "model.safetensors").write_bytes(b"\xff" * 64)),
    "a forged empty file": sealed(lambda f: (f / "model.safetensors").write_bytes(b"")),
    "a forged pickle": sealed(lambda f: torch.save({"a": torch.zeros(1)}, f / "model.safetensors")),
    "forged sizes": forged(n_users="many"),
    "a forged config": forged(config={"l2": "nan"}),
    "a forged list of users": forged(config=[]),
}


@pytest.mark.parametrize("name", ["ease", "mf"])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=[d.replace(" ", "-") for d in DAMAGE])
def test_a_damaged_artefact_is_set_aside_and_trained_again(get, store: ArtefactStore, name, damage) -> None:
    settings = {"epochs": 1, "embedding_dim": 4} if name == "mf" else {}
    first = get(name, settings=settings)
    damage(first.folder)
    again = get(name, settings=settings)
    assert again.fresh
    assert torch.equal(again.model.score([0, 5]), first.model.score([0, 5]))
    assert not get(name, settings=settings).fresh
    (aside,) = (store.root / "quarantine").iterdir()
    assert (aside / "error.txt").read_text().strip()


def test_every_flipped_byte_is_noticed(get, store: ArtefactStore) -> None:
    folder = get().folder
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        flip(path, position)
        assert store.find(folder) is None
        (aside,) = (store.root / "quarantine").iterdir()
        aside.rename(folder)
        (folder / "error.txt").unlink()
        path.write_bytes(whole)
    assert store.find(folder) is not None


# Crashes --------------------------------------------------------------------------------------------------------


def test_an_error_while_saving_leaves_nothing(get, store: ArtefactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = model_class("ease")
    save = kind.save

    def fail(self: Recommender, folder: Path) -> None:
        save(self, folder)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(kind, "save", fail)
        with pytest.raises(OSError, match="No space"):
            get("ease")
    assert visible(store.root) == hidden(store.root) == []
    assert get("ease").fresh


def test_an_error_while_replacing_keeps_the_old_artefact(get, store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = get("ease")
    with monkeypatch.context() as patch:
        patch.setattr("recengine.experiments.store.sha256_of", lambda path: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.obtain(first.folder, lambda: first.model, Origin(), force=True)
    assert not get("ease").fresh


def fitted() -> Recommender:
    return model_class("popularity")().fit(Interactions.from_pairs([0, 1], [1, 0], n_users=2, n_items=3))


def write_and_die(root: Path, step: int) -> None:
    """Store an artefact, and die at the given one of the calls that a write makes."""
    calls = itertools.count(1)

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if next(calls) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*given, **named)

        return call

    Popularity.save = dying(Popularity.save)  # type: ignore[method-assign] # in this child process only
    store_module.sha256_of = dying(store_module.sha256_of)
    files_module.sync = dying(files_module.sync)
    Path.rename = dying(Path.rename)  # type: ignore[method-assign]
    ArtefactStore(root).obtain(root / "popularity-x", fitted, Origin())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("step", range(1, 10))
def test_a_process_killed_at_any_step_of_a_write_leaves_no_readable_half(tmp_path: Path, step: int) -> None:
    """Steps: save, two checksums, four syncs, the rename (8), the last sync (9)."""
    child = get_context("fork").Process(target=write_and_die, args=(tmp_path, step))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    whole = step == 9  # after the rename
    assert (ArtefactStore(tmp_path).find(tmp_path / "popularity-x") is not None) == whole
    assert ArtefactStore(tmp_path).obtain(tmp_path / "popularity-x", fitted, Origin()).fresh != whole


def obtain_slowly(root: Path, start: Any, results: Any) -> None:
    def train() -> Recommender:
        with (root / "trainings.txt").open("a") as log:
            log.write("x")
        time.sleep(0.3)
        return fitted()

    start.wait(60)
    results.put(ArtefactStore(root / "models").obtain(root / "models" / "popularity-x", train, Origin()).fresh)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_two_processes_at_once_train_once(tmp_path: Path) -> None:
    context = get_context("fork")
    start, results = context.Barrier(2), context.Queue()
    both = [context.Process(target=obtain_slowly, args=(tmp_path, start, results)) for _ in range(2)]
    for process in both:
        process.start()
    assert sorted(results.get(timeout=60) for _ in both) == [False, True]
    for process in both:
        process.join(60)
    assert (tmp_path / "trainings.txt").read_text() == "x"


# The byte budget ------------------------------------------------------------------------------------------------


def age(folder: Path, seconds: float) -> None:
    os.utime(folder, (time.time() - seconds,) * 2)


def test_the_least_recently_used_artefacts_go_first(get, store: ArtefactStore) -> None:
    old, used, newer = (get("random", run=RunConfig(device="cpu", seed=s)) for s in (1, 2, 3))
    for seconds, trained in ((300, used), (200, old), (100, newer)):
        age(trained.folder, seconds)
    assert store.find(used.folder) is not None  # the oldest, but now the latest used
    size = sum(p.stat().st_size for p in old.folder.iterdir())
    small = ArtefactStore(store.root, byte_budget=int(size * 3.5))
    last = get("random", run=RunConfig(device="cpu", seed=4), store=small)
    assert visible(store.root) == sorted(t.folder.name for t in (used, newer, last))


def test_a_new_artefact_is_kept_even_when_it_alone_exceeds_the_budget(get, store: ArtefactStore) -> None:
    first = get("random")
    second = get("ease", store=ArtefactStore(store.root, byte_budget=1))
    assert visible(store.root) == [second.folder.name]
    assert not first.folder.exists()


def test_a_folder_that_another_process_writes_is_not_evicted_but_an_old_leftover_is(get, store: ArtefactStore) -> None:
    get("random")
    for name, seconds in ((".ease-x.1.tmp", 5), (".ease-x.2.tmp", 3 * 86_400)):
        (store.root / name).mkdir()
        (store.root / name / "manifest.json").write_text("{}")
        age(store.root / name, seconds)
    get("ease", store=ArtefactStore(store.root, byte_budget=1))
    assert hidden(store.root) == [".ease-x.1.tmp"]


# Nothing is unpickled -------------------------------------------------------------------------------------------


def test_nothing_in_the_package_unpickles() -> None:
    forbidden = {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}
    for path in Path(recengine.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & forbidden, path
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
                assert (called.value.id, called.attr) not in {("torch", "load"), ("pd", "read_pickle")}, path
            if isinstance(node, ast.keyword):
                assert node.arg != "allow_pickle" or ast.unparse(node.value) == "False", path
