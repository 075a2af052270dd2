"""Checkpoints of a training in parallel: a folder for an epoch, which any number of processes can go on from.

A folder holds `shared.safetensors`, what all processes share, a file for each shard of users, and `manifest.json`,
which is written last and carries the sha256 of the others. It gets its name when it is whole, so a crash leaves the
one before. All processes need to see the folder, as on a network file system. Nothing is unpickled.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from recengine.errors import BadInput
from recengine.experiments.parallel.world import World
from recengine.files import Json, JsonObject, sha256_of, sync
from recengine.training.loop import best_epoch
from recengine.training.progress import EpochResult

State = dict[str, Tensor]


class Checkpoints:
    """The checkpoints of one training: the last epoch's and the best one's are kept.

    identity : what they are of, such as the model and its config; others in the same folder are refused
    """

    def __init__(self, folder: Path, world: World, identity: Mapping[str, Json]) -> None:
        self.folder, self.world = folder, world
        self.identity: JsonObject = json.loads(json.dumps(identity))

    def epochs(self) -> list[int]:
        """Return the numbers of the epochs that are there, ascending."""
        return sorted(int(path.name.removeprefix("epoch-")) for path in self.folder.glob("epoch-*"))

    def log(self) -> list[EpochResult]:
        """Return the training log up to the last checkpoint, empty without any; BadInput for another training's."""
        if not self.epochs():
            return []
        row = json.loads(self._manifest(self.epochs()[-1]).read_text(encoding="utf-8"))
        for name, value in self.identity.items():
            if row["identity"].get(name) != value:
                problem = f"holds checkpoints of another {name} ({row['identity'].get(name)}; here {value})"
                raise BadInput("checkpoint", str(self.folder), remedy="name another folder", problem=problem)
        return [EpochResult.from_dict(each) for each in row["log"]]

    def write(self, log: Sequence[EpochResult], criterion: str, shared: State, shards: Mapping[int, State]) -> None:
        """Write the epoch that ends the log; each process passes its own shards."""
        epoch = log[-1].epoch
        target = self.folder / f"epoch-{epoch:05}"
        temporary = self.folder / f".{target.name}.tmp"
        if self.world.rank == 0:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
        self.world.wait()
        names = ["shared.safetensors", *(_file(shard) for shard in range(self.world.shards))]
        digests = torch.zeros(len(names), 32, dtype=torch.int32)
        files = {_file(shard): state for shard, state in shards.items()}
        for name, state in (files | ({"shared.safetensors": shared} if self.world.rank == 0 else {})).items():
            save_file(state, temporary / name)
            sync(temporary / name)
            digest = bytes.fromhex(sha256_of(temporary / name))
            digests[names.index(name)] = torch.tensor(list(digest), dtype=torch.int32)
        on_device = digests.to(self.world.device)
        self.world.add_up(on_device)
        if self.world.rank == 0:
            hashes = [bytes(row).hex() for row in on_device.cpu().tolist()]
            manifest = {
                "identity": self.identity,
                "log": [result.to_dict() for result in log],
                "files": dict(zip(names, hashes, strict=True)),
            }
            (temporary / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
            sync(temporary / "manifest.json")
            shutil.rmtree(target, ignore_errors=True)
            temporary.rename(target)
            sync(self.folder)
            best = best_epoch(log, criterion)
            for other in self.epochs():
                if other not in (epoch, best.epoch if best else None):
                    shutil.rmtree(self.folder / f"epoch-{other:05}", ignore_errors=True)
        self.world.wait()

    def read(self, epoch: int) -> tuple[State, dict[int, State]]:
        """Return what `write` wrote of an epoch, of this process's own shards; BadInput where it is damaged."""
        files: JsonObject = json.loads(self._manifest(epoch).read_text(encoding="utf-8"))["files"]

        def load(name: str) -> State:
            path = self._manifest(epoch).with_name(name)
            if not path.is_file() or sha256_of(path) != files[name]:
                remedy = "remove the folder of that epoch, and go on from the one before"
                raise BadInput("checkpoint", str(path), remedy=remedy, problem="is damaged")
            return load_file(path)

        return load("shared.safetensors"), {shard: load(_file(shard)) for shard in self.world.own}

    def _manifest(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:05}" / "manifest.json"


def _file(shard: int) -> str:
    return f"shard-{shard:04}.safetensors"
