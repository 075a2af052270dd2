"""What steering costs: the change of NDCG on users known by one sitting, for each knob, measured once and kept."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

from recengine import settings
from recengine.data.dataset import Dataset
from recengine.data.splits import Split
from recengine.evaluation.intervals import Interval, difference_interval, mean_interval
from recengine.evaluation.policy import EvaluationPolicy
from recengine.experiments.compare import ComparisonRequest
from recengine.experiments.train import TrainingRequest, obtain
from recengine.files import Json, JsonObject, atomic_text_file
from recengine.metrics import coordinates, find_hits, ndcg, top_k
from recengine.models.base import Recommender, readable
from recengine.models.registry import model_class
from recengine.serving.recommend import score_new
from recengine.serving.steering import MOOD_STRENGTH, STRENGTH, Knobs, Steering, Traits
from recengine.training.config import RunConfig

FORMAT = 1
POSITIONS = (-1.0, -0.5, 0.5, 1.0)
"""Where each knob is measured; a mood is on or off."""
K = 10


class Price(NamedTuple):
    """What a knob at a position costs: the share of NDCG@10 that is lost, below 0 where it is won."""

    knob: str
    position: float
    share: Interval

    def sentence(self) -> str:
        """Return it in words: "costs about 4% of accuracy (2 to 6%)"."""
        lost, low, high = (100 * part for part in self.share)
        if math.isnan(low):
            return "was measured on too few users to say what it costs"
        if low <= 0 <= high:
            return f"costs nothing that can be measured ({low:.0f} to {high:.0f}%)".replace("-0 ", "0 ")
        if high < 0:
            return f"gains about {-lost:.0f}% of accuracy ({-high:.0f} to {-low:.0f}%)"
        return f"costs about {lost:.0f}% of accuracy ({low:.0f} to {high:.0f}%)"


@dataclass(frozen=True)
class CostCurve:
    """The prices of all knobs of a model on a data set.

    users, ndcg : of the sittings on which they were measured, and what the list as it is reaches there
    """

    dataset: str
    fingerprint: str
    model: str
    users: int
    ndcg: Interval
    prices: Sequence[Price]

    def prices_of(self, knobs: Knobs) -> list[Price]:
        """Return the price of each knob that is turned, each alone; between positions it is interpolated."""
        asked = {name: value for name, value in knobs.positions().items() if value}
        if knobs.mood:
            asked[knobs.mood] = 1.0
        return [price for name, value in asked.items() if (price := self._at(name, value)) is not None]

    def _at(self, knob: str, position: float) -> Price | None:
        measured = {price.position: price.share for price in self.prices if price.knob == knob}
        if not measured:
            return None
        curve = sorted({**measured, 0.0: Interval(0.0, 0.0, 0.0)}.items())
        positions = [at for at, _ in curve]
        parts = zip(*(share for _, share in curve), strict=True)
        return Price(knob, position, Interval(*(float(np.interp(position, positions, part)) for part in parts)))

    def to_dict(self) -> dict[str, Json]:
        """Return plain values, JSON-ready."""
        prices: list[Json] = [{**price._asdict(), "share": price.share._asdict()} for price in self.prices]
        return {**asdict(self), "ndcg": self.ndcg._asdict(), "prices": prices}

    @classmethod
    def from_dict(cls, row: JsonObject) -> Self:
        """Read what `to_dict` wrote."""
        prices = [Price(p["knob"], p["position"], Interval.from_dict(p["share"])) for p in row["prices"]]
        return cls(**{**row, "ndcg": Interval.from_dict(row["ndcg"]), "prices": prices})


def curve_file(dataset: Dataset, model: str, positive: float) -> Path:
    """Return where the curve of a model with its presets is kept."""
    kind = model_class(model)
    identity = [
        FORMAT,
        STRENGTH,
        MOOD_STRENGTH,
        model,
        kind.version,
        kind.Config().to_dict(),
        dataset.fingerprint,
        positive,
    ]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return settings.home() / "steering" / f"{model}-{digest[:20]}.json"


def known_curve(dataset: Dataset, model: str, positive: float) -> CostCurve | None:
    """Return the curve that was measured, or None where there is none that can be read."""
    try:
        return CostCurve.from_dict(json.loads(curve_file(dataset, model, positive).read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError):
        return None


def measure_curve(
    dataset: Dataset,
    model: str,
    *,
    positive: float = 4.0,
    run: RunConfig | None = None,
    on_fold: Callable[[int, int], None] | None = None,
) -> CostCurve:
    """Measure what each knob costs, and keep the curve.

    As in the split `sitting`: each of five folds of users is known by twelve ratings to a model trained on the others.
    A price is the mean over the users of NDCG@10 as it is less that of the steered list, paired, over the mean as it
    is. `on_fold` is called with the number of each fold and of all.
    Raises BadInput for a model that cannot serve new users, or data that cannot be split like this.
    """
    run = run or RunConfig()
    request = ComparisonRequest({model: {}}, "sitting", positive=positive, run=run)
    splits = request.splits(dataset)
    moods = Traits(dataset.items, splits[0].fit.item_counts).moods
    wanted = {("", 0.0): Knobs(), **{(mood, 1.0): Knobs(mood=mood) for mood in moods}}
    wanted |= {(name, at): Knobs().turned(name, at) for name in Knobs().positions() for at in POSITIONS}
    parts: dict[tuple[str, float], list[NDArray[np.float64]]] = {key: [] for key in wanted}
    for number, split in enumerate(splits, 1):
        if on_fold is not None:
            on_fold(number, len(splits))
        fitted = obtain(TrainingRequest(dataset, model, run=run, split=split)).model
        for key, values in _gains(fitted, dataset, split, wanted).items():
            parts[key].append(values)
    gains = {key: np.concatenate(folds) for key, folds in parts.items()}
    plain = gains.pop(("", 0.0))
    base = mean_interval(plain, within=(0.0, 1.0))
    prices = [Price(name, at, _share(plain - steered, base.value)) for (name, at), steered in gains.items()]
    curve = CostCurve(dataset.name, dataset.fingerprint, model, len(plain), base, prices)
    path = curve_file(dataset, model, positive)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_text_file(path) as file:
        json.dump(curve.to_dict(), file)
    return curve


def _share(lost: NDArray[np.float64], base: float) -> Interval:
    """Return the mean of what users lose (n,), as a share of what they had on average, with its interval."""
    return Interval(*(part / max(base, 1e-9) for part in difference_interval(lost)))


@torch.inference_mode()
def _gains(
    model: Recommender, dataset: Dataset, split: Split, wanted: Mapping[tuple[str, float], Knobs]
) -> dict[tuple[str, float], NDArray[np.float64]]:
    """Return the NDCG@10 of each test user (n,) with each of some knobs."""
    assert split.history is not None  # the split `sitting` holds out users
    users = split.test.user_counts.nonzero()[0]
    history, policy = split.history.of_users(users), EvaluationPolicy()
    scored = policy.apply(
        model,
        score_new(model, dataset, history, split.positive, None),
        users,
        known=readable(model, history, split.positive).user_counts > 0,
        popularity=torch.from_numpy(split.fit.item_counts.astype(np.float32)),
        hidden=policy.hides(split.rated, split.positive),
        among=split.candidates,
    )
    traits, likes = Traits(dataset.items, split.fit.item_counts), history.at_least(split.positive)
    position, item = coordinates(split.test, users)
    relevant = torch.zeros(scored.scores.shape, dtype=torch.bool)
    relevant[position, item] = True
    count = torch.bincount(position, minlength=len(users))

    def gains(knobs: Knobs) -> NDArray[np.float64]:
        listed = top_k(Steering(knobs, traits).rerank(scored.scores, likes), K, scored.salts).items
        return ndcg(find_hits(listed, relevant), count).double().numpy()

    return {key: gains(knobs) for key, knobs in wanted.items()}
