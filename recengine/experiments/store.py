"""The artefact store: trained models on disk, under a key made of what they were trained from.

A folder holds `model.safetensors`, `model.json` and `manifest.json`, which is written last and carries the sha256
of the others and of its own content. Folders are written under a temporary name, synced and renamed, so a crash
leaves either the whole artefact or none. What does not verify is set aside and trained again. Nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from filelock import FileLock
from safetensors import SafetensorError

from recengine import settings
from recengine.data.splits import SplitSetting
from recengine.files import Json, JsonObject, atomic_folder, remove_folder, replaced_versions, sha256_of
from recengine.models.base import Recommender
from recengine.models.registry import model_class
from recengine.training.config import Config, RunConfig, Settings
from recengine.training.loop import best_epoch

FORMAT = 2
BYTE_BUDGET = 8 * 2**30
"""Artefacts beyond this many bytes in all are removed, least recently used first."""
ABANDONED = 86_400
"""A temporary folder this many seconds old was left by a crash."""


@dataclass(frozen=True)
class Origin:
    """What an artefact was made of, as its manifest records it.

    dataset, data : the data set's name and the fingerprint of its content
    split         : the settings of the split whose training part it learned, or `all`
    log, visitors, ratings : of a promoted snapshot: the digest of the log replayed, and its size
    """

    dataset: str = ""
    data: str = ""
    split: Mapping[str, SplitSetting] = field(default_factory=dict)
    seed: int | None = None
    device: str = ""
    model_version: int | None = None
    log: str = ""
    visitors: int = 0
    ratings: int = 0


@dataclass(frozen=True)
class Manifest:
    """An artefact's metadata.

    seconds, trained_at : the duration of the training, and when it ended
    epochs  : the epoch that validation chose; metrics : its line of the training log
    bytes   : of all files; files : name -> sha256
    """

    model: str
    config: Settings
    origin: Origin
    seconds: float
    trained_at: str
    epochs: int | None
    metrics: Mapping[str, Json]
    bytes: int = 0
    files: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @classmethod
    def of(cls, model: Recommender, origin: Origin, seconds: float) -> Self:
        """Return the manifest of a model whose training, of that duration, ends now."""
        best = best_epoch(model.training_log, model.criterion)
        return cls(
            model=model.name,
            config=model.config.to_dict(),
            origin=origin,
            seconds=round(seconds, 3),
            trained_at=datetime.now(UTC).isoformat(timespec="seconds"),
            epochs=None if best is None else best.epoch,
            metrics={} if best is None else best.to_dict(),
        )

    def to_dict(self) -> dict[str, Json]:
        """Return one flat mapping, JSON-ready; what the origin does not know is left out."""
        row = asdict(self)
        known = Origin()
        origin = {key: value for key, value in row.pop("origin").items() if value != getattr(known, key)}
        return row | origin

    @classmethod
    def from_dict(cls, row: JsonObject) -> Self:
        """Read what `to_dict` wrote. Raises KeyError or TypeError for what is not a manifest."""
        origin = Origin(**{f.name: row[f.name] for f in fields(Origin) if f.name in row})
        return cls(**{f.name: row[f.name] for f in fields(cls) if f.name != "origin"}, origin=origin)


@dataclass(frozen=True, eq=False)
class Trained:
    """A finished model, its folder, its manifest, and whether it was trained just now."""

    model: Recommender
    folder: Path
    manifest: Manifest
    fresh: bool


def artefact_name(
    name: str, config: Config, fingerprint: str, split: Mapping[str, SplitSetting], run: RunConfig
) -> str:
    """Return the name of the artefact of these settings. The device is not part of the key."""
    identity = {
        "format": FORMAT,
        "model": name,
        "version": model_class(name).version,
        "config": config.to_dict(),
        "data": fingerprint,
        "split": split,
        "run": {"seed": run.seed, "epochs": run.epochs, "patience": run.patience},
    }
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:20]}"


UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, SafetensorError)
"""What reading a damaged artefact may raise."""


class ArtefactStore:
    """Models under one folder, by default `RECENGINE_HOME/models`."""

    def __init__(self, root: Path | None = None, byte_budget: int = BYTE_BUDGET) -> None:
        self.root = root or settings.home() / "models"
        self.byte_budget = byte_budget

    def find(self, folder: Path) -> Trained | None:
        """Return the artefact in `folder` if it is there and whole; a damaged one is set aside.

        The old one is still returned while another replaces it, or where a crash has kept it from doing so.
        """
        path = folder if folder.is_dir() else next(replaced_versions(folder), None)
        if path is None:
            return None
        try:
            model, manifest = read_artefact(path)
        except UNREADABLE as error:
            self._set_aside(path, error)
            return None
        with suppress(OSError):  # a store that is read-only, or a folder that was just evicted
            os.utime(path)  # the time of last use, for the byte budget
        return Trained(model, folder, manifest, fresh=False)

    def obtain(self, folder: Path, train: Callable[[], Recommender], origin: Origin, *, force: bool = False) -> Trained:
        """Return the artefact in `folder`, training and storing it when it is missing or `force` is set.

        One process trains an artefact at a time: others wait for it and find it made.
        """
        stored = None if force else self.find(folder)
        if stored is not None:
            return stored
        self.root.mkdir(parents=True, exist_ok=True)
        with FileLock(self.root / f".{folder.name}.lock"):
            stored = None if force else self.find(folder)
            if stored is not None:
                return stored
            started = time.perf_counter()
            model = train()
            manifest = write_artefact(folder, model, Manifest.of(model, origin, time.perf_counter() - started))
        with suppress(FileNotFoundError):  # another process shrinks the store at the same time
            self._shrink(keep=folder)
        return Trained(model, folder, manifest, fresh=True)

    def remove(self, folder: Path) -> None:
        """Remove an artefact at once."""
        remove_folder(folder)

    def remove_models_of(self, fingerprint: str) -> None:
        """Remove all artefacts of models that were trained on data of this content."""
        for folder in self.root.glob("[!.]*"):
            with suppress(OSError, ValueError, LookupError, TypeError):
                row = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
                if row["data"] == fingerprint:
                    self.remove(folder)

    def _set_aside(self, folder: Path, error: Exception) -> None:
        """Move a damaged artefact out of the way."""
        quarantine = self.root / "quarantine"
        quarantine.mkdir(exist_ok=True)
        try:
            aside = folder.rename(quarantine / f"{folder.name}-{uuid.uuid4().hex[:8]}")
        except FileNotFoundError:  # another process was faster
            return
        (aside / "error.txt").write_text(f"{type(error).__name__}: {error}\n", encoding="utf-8")

    def _shrink(self, keep: Path) -> None:
        """Remove what crashes left, and the least recently used artefacts while all exceed the byte budget."""
        for left in self.root.glob(".*.tmp"):
            if time.time() - left.stat().st_mtime > ABANDONED:
                shutil.rmtree(left, ignore_errors=True)
        folders = [p for p in self.root.glob("[!.]*") if (p / "manifest.json").is_file()]
        sizes = {p: sum(f.stat().st_size for f in p.iterdir()) for p in folders}
        total = sum(sizes.values())
        for folder in sorted(folders, key=lambda p: p.stat().st_mtime):
            if total <= self.byte_budget:
                return
            if folder != keep:
                remove_folder(folder)
                total -= sizes[folder]


def write_artefact(
    folder: Path, model: Recommender, manifest: Manifest, more: Callable[[Path], None] | None = None
) -> Manifest:
    """Write an artefact atomically and return its manifest with the files; `more` may add some to the folder."""
    with atomic_folder(folder) as temporary:
        model.save(temporary)
        if more is not None:
            more(temporary)
        files = sorted(path for path in temporary.iterdir())
        manifest = replace(
            manifest,
            bytes=sum(path.stat().st_size for path in files),
            files={path.name: sha256_of(path) for path in files},
        )
        row = manifest.to_dict()
        sealed = {**row, "sha256": _seal(row)}
        (temporary / "manifest.json").write_text(json.dumps(sealed, indent=1), encoding="utf-8")
    return manifest


def read_artefact(folder: Path, kind: type[Recommender] | None = None) -> tuple[Recommender, Manifest]:
    """Return the model and the manifest of an artefact; one of `UNREADABLE` where it is damaged or of another format.

    Every file is verified before it is read. `kind` is the class of a model that is not registered.
    """
    row = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    if row["format"] != FORMAT:
        raise ValueError(f"format {row['format']} is not {FORMAT}")
    if row.pop("sha256") != _seal(row):
        raise ValueError("manifest.json does not have its recorded sha256")
    manifest = Manifest.from_dict(row)
    for name, digest in manifest.files.items():
        if sha256_of(folder / name) != digest:
            raise ValueError(f"{name} does not have its recorded sha256")
    return (kind or model_class(manifest.model)).load(folder), manifest


def _seal(row: Mapping[str, Json]) -> str:
    """Return the sha256 of a manifest's content, whatever its layout."""
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()
