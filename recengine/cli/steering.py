"""The command `steering`, and the options that steer a list."""

from __future__ import annotations

import argparse

from recengine.cli.arguments import Commands, add_data_command
from recengine.cli.common import load_data
from recengine.cli.reporter import Reporter
from recengine.data.dataset import Dataset
from recengine.errors import BadInput
from recengine.export import table
from recengine.files import Json
from recengine.models.registry import DEFAULT
from recengine.serving.moods import MOODS
from recengine.serving.steering import Knobs, Steering, Traits
from recengine.serving.steering_cost import Price, known_curve, measure_curve
from recengine.training.config import RunConfig

_ENDS = {
    "obscure": "towards lesser-known items (1) or well-known ones (-1)",
    "surprising": "towards other genres than those liked (1) or the same (-1)",
    "new": "towards new items (1) or old ones (-1)",
}


def add_commands(commands: Commands) -> None:
    """Declare `steering`."""
    text = "measure what it costs to steer a model's lists: the change of NDCG@10 for each knob"
    add_data_command(commands, "steering", measure, text, default=DEFAULT)


def add_knobs(command: argparse.ArgumentParser) -> None:
    """Declare the knobs of a list."""
    group = command.add_argument_group("steering", "what a list is moved towards, and what that costs; see `steering`")
    for name, text in _ENDS.items():
        group.add_argument(f"--{name}", type=float, default=0.0, metavar="-1..1", help=text)
    group.add_argument("--mood", choices=tuple(MOODS), default="", help="by genres, keywords and tags")


def steering_of(options: argparse.Namespace, data: Dataset) -> Steering | None:
    """Return the steering that the options ask for, or None where every knob is neutral."""
    knobs = Knobs(options.obscure, options.surprising, options.new, options.mood)
    return None if knobs.is_neutral else Steering(knobs, Traits.of(data, options.positive))


def report_prices(options: argparse.Namespace, report: Reporter, data: Dataset, steering: Steering | None) -> Json:
    """Note what the knobs that are turned cost, each alone, and return their prices, JSON-ready."""
    if steering is None:
        return []
    curve = known_curve(data, options.model, options.positive)
    if curve is None or options.set or options.opened is not None:
        remedy = "" if options.set or options.opened is not None else ": the command `steering` measures it"
        report.note(f"What this steering costs is not known{remedy}.")
        return []
    prices = curve.prices_of(steering.knobs)
    for price in prices:
        report.note(f"{_turned(price)} {price.sentence()}.")
    return [{**price._asdict(), "share": price.share._asdict()} for price in prices]


def measure(options: argparse.Namespace, report: Reporter) -> None:
    """Measure the prices of all knobs, print them and keep them."""
    if options.set or options.opened is not None:
        field = "set" if options.set else "model_folder"
        raise BadInput(field, remedy="leave it out", problem="does not apply here: prices are those of the presets")
    data = load_data(options, report)
    run = RunConfig(device=options.device, seed=options.seed)
    curve = measure_curve(
        data,
        options.model,
        positive=options.positive,
        run=run,
        on_fold=lambda fold, of: report.step(f"{options.model}, fold {fold} of {of}", fold - 1, of),
    )
    rows = [(p.knob, f"{p.position:g}", *(f"{100 * part:.1f}" for part in p.share), p.sentence()) for p in curve.prices]
    head = f"NDCG@10 {curve.ndcg.value:.4f} as it is, on {curve.users:,} users known by one sitting."
    report.result(curve.to_dict(), [head, *table(("knob", "position", "cost %", "low", "high", "in words"), rows)])


def _turned(price: Price) -> str:
    return price.knob if price.knob in MOODS else f"{price.knob} {price.position:g}"
