"""The artefact store: trained models on disk, found again by what they were trained from.

A folder holds `model.safetensors`, `model.json` and `manifest.json`, which is written last and carries the sha256
of the others and of what itself says. Folders are written under a temporary name, synced and renamed, so a crash
leaves either the whole artefact or none. What does not verify is set aside and trained again. Nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock
from safetensors import SafetensorError

from recengine import settings
from recengine.files import sha256_of, sync
from recengine.models.base import Recommender
from recengine.models.registry import model_class
from recengine.training.config import Config, RunConfig
from recengine.training.loop import best_epoch

FORMAT = 2
BYTE_BUDGET = 8 * 2**30
"""Artefacts beyond this many bytes in all are removed, least recently used first."""
ABANDONED = 86_400
"""A temporary folder this many seconds old was left by a crash."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A finished model, where it lies, what its manifest says, and whether it was trained just now."""

    model: Recommender
    folder: Path
    manifest: dict[str, Any]
    fresh: bool


class ArtefactStore:
    """Models under one folder, by default `RECENGINE_HOME/models`."""

    def __init__(self, root: Path | None = None, byte_budget: int = BYTE_BUDGET) -> None:
        self.root = root or settings.home() / "models"
        self.byte_budget = byte_budget

    def folder(self, name: str, config: Config, fingerprint: str, split: dict[str, Any], run: RunConfig) -> Path:
        """Return where the artefact of these settings lies or would lie. The device is not part of the key."""
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
        return self.root / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:20]}"

    def find(self, folder: Path) -> Trained | None:
        """Return the artefact in `folder` if it is there and whole; a damaged one is set aside.

        While another takes its place, or where a crash kept it from doing so, the old one is still found.
        """
        place = folder if folder.is_dir() else next(self._replaced(folder), None)
        if place is None:
            return None
        try:
            manifest = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
            if manifest["format"] != FORMAT:
                raise ValueError(f"format {manifest['format']} is not {FORMAT}")
            if manifest.pop("sha256") != _seal(manifest):
                raise ValueError("manifest.json does not have its recorded sha256")
            for name, digest in manifest["files"].items():
                if sha256_of(place / name) != digest:
                    raise ValueError(f"{name} does not have its recorded sha256")
            model = model_class(manifest["model"]).load(place)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, SafetensorError) as fault:
            self._set_aside(place, fault)
            return None
        with suppress(OSError):  # a store that is read-only, or a folder that was just evicted
            os.utime(place)  # the time of last use, for the byte budget
        return Trained(model, folder, manifest, fresh=False)

    def obtain(
        self, folder: Path, train: Callable[[], Recommender], about: dict[str, Any], *, force: bool = False
    ) -> Trained:
        """Return the artefact in `folder`, training and storing it when it is missing or `force` is set.

        One process trains an artefact at a time: others wait for it and find it made.
        """
        found = None if force else self.find(folder)
        if found is not None:
            return found
        self.root.mkdir(parents=True, exist_ok=True)
        with FileLock(self.root / f".{folder.name}.lock"):
            found = None if force else self.find(folder)
            if found is not None:
                return found
            started = time.perf_counter()
            model = train()
            best = best_epoch(model.training_log, model.criterion)
            manifest = {
                "format": FORMAT,
                "model": model.name,
                "config": model.config.to_dict(),
                **about,
                "seconds": round(time.perf_counter() - started, 3),
                "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "epochs": None if best is None else best.epoch,
                "metrics": {} if best is None else best.to_dict(),
            }
            manifest = self._write(folder, model, manifest)
        with suppress(FileNotFoundError):  # another process shrinks the store at the same time
            self._shrink(keep=folder)
        return Trained(model, folder, manifest, fresh=True)

    def remove(self, folder: Path) -> None:
        """Remove an artefact at once: it has no name any more before its files go."""
        self._set_aside(folder, None)

    def _write(self, folder: Path, model: Recommender, manifest: dict[str, Any]) -> dict[str, Any]:
        """Write the artefact beside its place, sync it, and rename it into place."""
        temporary = self.root / f".{folder.name}.{uuid.uuid4().hex}.tmp"
        temporary.mkdir(parents=True)
        try:
            model.save(temporary)
            files = sorted(path for path in temporary.iterdir())
            manifest = {
                **manifest,
                "bytes": sum(path.stat().st_size for path in files),
                "files": {path.name: sha256_of(path) for path in files},
            }
            sealed = {**manifest, "sha256": _seal(manifest)}
            (temporary / "manifest.json").write_text(json.dumps(sealed, indent=1), encoding="utf-8")
            for path in (*files, temporary / "manifest.json", temporary):
                sync(path)
            if folder.exists():
                folder.rename(self.root / f".{folder.name}.{uuid.uuid4().hex}.old")
            temporary.rename(folder)
            sync(self.root)
            for old in self._replaced(folder):
                shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return manifest

    def _replaced(self, folder: Path) -> Iterator[Path]:
        """Return where the versions lie that a new one is replacing, or was when its process died."""
        return self.root.glob(f".{folder.name}.*.old")

    def _set_aside(self, folder: Path, fault: Exception | None) -> None:
        """Move a damaged artefact (or, without a fault, a replaced one) out of the way."""
        if fault is None:
            old = self.root / f".{folder.name}.{uuid.uuid4().hex}.tmp"
            folder.rename(old)
            shutil.rmtree(old, ignore_errors=True)
            return
        quarantine = self.root / "quarantine"
        quarantine.mkdir(exist_ok=True)
        try:
            aside = folder.rename(quarantine / f"{folder.name}-{uuid.uuid4().hex[:8]}")
        except FileNotFoundError:  # another process was faster
            return
        (aside / "fault.txt").write_text(f"{type(fault).__name__}: {fault}\n", encoding="utf-8")

    def _shrink(self, keep: Path) -> None:
        """Remove what crashes left, and the least recently used artefacts while all are over the byte budget."""
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
                self._set_aside(folder, None)
                total -= sizes[folder]


def _seal(manifest: dict[str, Any]) -> str:
    """Return the sha256 of what a manifest says, however it is laid out."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
