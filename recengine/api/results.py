"""`evaluate`, and the report that it gives: a table in a terminal and in a notebook, a dict, a frame."""

from __future__ import annotations

import html
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from recengine.api.errors import in_words, own_words
from recengine.api.model import Model, origin_of
from recengine.data.splits import Split
from recengine.errors import BadInput
from recengine.evaluation.intervals import Interval
from recengine.evaluation.policy import EvaluationPolicy
from recengine.evaluation.ranking import check_negatives
from recengine.evaluation.readable import heading, lines, remarks, shown_metrics, with_interval
from recengine.evaluation.report import EvaluationReport, EvaluationSettings
from recengine.experiments.compare import ComparisonRequest, measure, summarise, versions
from recengine.experiments.measured import Measured
from recengine.experiments.store import Origin
from recengine.files import Json


class Report:
    """What models reached on one split, with 95 % intervals over users, and the paired tests between them.

    record : the same as a record of the layers below; `to_dict` is its JSON, as `recengine evaluate` prints it
    """

    def __init__(self, record: EvaluationReport) -> None:
        self.record = record

    @property
    def models(self) -> list[str]:
        """Return the names of the models in the order in which they were given."""
        return list(self.record.first.metrics)

    @property
    def means(self) -> dict[str, float]:
        """Return metric -> mean over users; of several models those of `report[name].means`."""
        if len(self.models) > 1:
            problem = f"are of one model, and these are {', '.join(self.models)}"
            raise BadInput("means", remedy=f"take report[{self.models[0]!r}].means", problem=problem)
        return {key: figure.value for key, figure in self.intervals().items()}

    def intervals(self) -> Mapping[str, Interval]:
        """Return metric -> (value, low, high) of the first model; NaN where there is no interval."""
        return self.record.first.metrics[self.models[0]]

    def __getitem__(self, name: str) -> Report:
        """Return the report of one of the models alone."""
        if name not in self.models:
            raise KeyError(f"{name!r} is none of {', '.join(self.models)}")
        task = self.record.first
        alone = replace(
            task,
            metrics={name: task.metrics[name]},
            leader=name,
            behind_leader={},
            pairs_behind={},
            ahead_of={},
            popularity_fallback={name: task.popularity_fallback[name]},
            warm=None,
            cold=None,
        )
        return Report(replace(self.record, tasks=(alone,)))

    def table(self) -> str:
        """Return a readable table: figures with half an interval, the policy, and what the paired tests say."""
        return "\n".join(map(in_words, lines(self.record, {})))

    def to_dict(self) -> dict[str, Json]:
        """Return settings, policy, versions, fingerprint and results as plain values; see `export.json_ready`."""
        return self.record.to_dict()

    def to_pandas(self) -> pd.DataFrame:
        """Return a row per model and metric: model, metric, value, low, high."""
        rows = [
            (name, metric, *figure)
            for name, figures in self.record.first.metrics.items()
            for metric, figure in figures.items()
        ]
        return pd.DataFrame(rows, columns=["model", "metric", "value", "low", "high"])

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        metrics = shown_metrics(self.record)
        rows = [("", *metrics)]
        for name, figures in self.record.first.metrics.items():
            rows.append((name, *(str(with_interval(figures.get(key)) or "-") for key in metrics)))
        head, *body = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows)
        table = f"<thead><tr>{head}</tr></thead><tbody>{''.join(f'<tr>{row}</tr>' for row in body)}</tbody>"
        words = html.escape("\n".join(map(in_words, remarks(self.record, {}))))
        wrapped = f'<pre style="white-space: pre-wrap">{words}</pre>'
        return f"<p>{html.escape(heading(self.record))}</p><table>{table}</table>{wrapped}"


@own_words
def evaluate(
    models: Model | Sequence[Model],
    split: Split,
    *,
    k: int = 10,
    cutoffs: Sequence[int] = (),
    policy: EvaluationPolicy | None = None,
    negatives: int = 0,
    seed: int = 0,
) -> Report:
    """Rank every candidate for each test user of a split, as users are served, and report means with intervals.

    models    : one that is fitted, or several, which are then compared, paired by user
    k         : length of the lists; cutoffs : further lengths of which there are metrics
    policy    : what is masked and what stands in for a model without a signal; by default that of the (first) model
    negatives : adds metrics among that many sampled items, which rank models wrongly (Krichene & Rendle, KDD 2020)
    seed      : of those samples

    Raises BadInput for a model that was fitted on other data, or on rows of which some may be in this test.
    """
    given = [models] if isinstance(models, Model) else list(models)
    if not given or not all(isinstance(model, Model) for model in given):
        raise BadInput("models", expected="a model of recengine, or several", problem="are nothing to evaluate")
    for model in given:
        _check_fitted_for(model, split)
    first = given[0]
    policy = policy or first.policy
    named = dict(zip(_names(given), given, strict=True))
    options = {"split": "rows of your own", **split.options}
    request = ComparisonRequest(
        {name: {} for name in named},
        str(options["split"]),
        k=k,
        cutoffs=tuple(cutoffs),
        negatives=negatives,
        policy=policy,
    )
    if negatives:
        check_negatives(split, negatives, policy)
    measured = {name: [_measure(model, split, request, seed)] for name, model in named.items()}
    references = [name for name, model in named.items() if model.kind.is_reference]
    results = summarise({name: only for name, (only,) in measured.items()}, k, references=references)
    settings = EvaluationSettings(
        first.data.name,
        options,
        k,
        seeds=1,
        cutoffs=request.cutoffs,
        policy=policy,
        models={name: model.config.to_dict() | model.run.to_dict() for name, model in named.items()},
        seed=first.run.seed,
        device=str(first.run.torch_device()),
        fingerprint=first.origin.data,
        versions=versions(),
    )
    users = next(iter(measured.values()))[0].ranking.users
    return Report(EvaluationReport(settings, len(users), split.left_out, len(split.candidates), (results,)))


def _measure(model: Model, split: Split, request: ComparisonRequest, seed: int) -> Measured:
    return measure(model.recommender, split, request, model.data.items, seed, {"train_seconds": model.seconds})


def _names(models: Sequence[Model]) -> list[str]:
    """Return the name of each model, numbered where one comes again."""
    counts: Counter[str] = Counter()
    names = []
    for model in models:
        counts[model.kind.name] += 1
        number = counts[model.kind.name]
        names.append(model.kind.name if number == 1 else f"{model.kind.name} {number}")
    return names


def _check_fitted_for(model: Model, split: Split) -> None:
    """Raise BadInput unless a model has learned from the data of a split, and not from its test."""
    recommender, labels = model.recommender, split.labels
    fits = (recommender.n_users, recommender.n_items) == (split.test.n_users, split.test.n_items)
    known = model.origin if labels is not None and model.origin.data else None
    if not fits or (known is not None and labels is not None and known.data != origin_of(labels).data):
        problem = "was fitted on other data than this split is of"
        raise BadInput("model", model.kind.name, remedy="fit it on the train of this split", problem=problem)
    if known is not None and labels is not None and json_of(known) != json_of(origin_of(labels)):
        problem = "was fitted on rows of which some may be in the test of this split"
        raise BadInput("model", model.kind.name, remedy="fit it on the train of this split", problem=problem)


def json_of(origin: Origin) -> str:
    """Return what was learned from, as a manifest holds it, to be compared."""
    return json.dumps(origin.split, sort_keys=True)
