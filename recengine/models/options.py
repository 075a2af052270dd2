"""The options that models of several kinds have: one name, one meaning, one type and one range for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from recengine.training.config import Config, option, preset


@dataclass(frozen=True)
class SharedOptions(Config):
    """Options that configs take by `shared`; no model has all of them."""

    embedding_dim: int = option(
        64, "length of an item's vector, and of a user's where the model learns one", low=1, high=4096, primary=1
    )
    hidden_dim: int = option(128, "length of the state that stands for the user", low=1, high=4096, primary=1)
    layers: tuple[int, ...] = option(
        (16, 8), "widths of the hidden layers, joined by commas", low=1, high=65_536, primary=1
    )
    loss: Literal["softmax", "bpr", "hinge", "adaptive-hinge", "warp", "logistic", "squared", "linear", "absolute"] = (
        option("softmax", "what training minimises", primary=1)
    )
    negatives: int = option(
        64, "negative samples that each positive is compared with; 0: every other item", low=0, high=10**7, primary=1
    )
    horizon: Literal["next", "later", "sitting"] = option(
        "next",
        "what is predicted: the item that comes next, any that follows the first few, or any other that the user likes",
    )
    optimizer: Literal["sgd", "adam", "adamw", "adagrad", "rmsprop"] = option(
        "adam", "how a step follows from the gradient"
    )
    learning_rate: float = option(0.01, "step size", low=0, high=1000, open_low=True, primary=1)
    weight_decay: float = option(0.01, "decay of AdamW", low=0, high=10, primary=1)
    schedule: Literal["none", "plateau", "cosine"] = option("none", "how the step sizes fall as epochs pass")
    l2: float = option(
        0.01, "L2 penalty of what is learned; larger keeps it closer to zero", low=0, high=1e7, primary=1
    )
    dropout: float = option(
        0.0, "share of the network's inputs and hidden numbers that a training step drops", low=0, high=0.95, primary=1
    )
    batch_size: int = option(1024, "training examples in one step", low=1, high=10**7)
    max_length: int = option(200, "latest events of a user that are read", low=1, high=100_000)
    item_bias: bool = option(True, "learn a bias of each item: how well liked it is by all users")
    init_std: float = option(0.1, "standard deviation of the starting vectors", low=0, high=10, open_low=True)
    prior_strength: float = option(
        500.0,
        "events of the overall average that are added to each group's; more of them trust small groups less",
        low=0,
        high=1e6,
        primary=1,
    )
    popularity_half_life: float | None = option(
        None,
        "events of all users after which a count is worth half; empty: never",
        low=0,
        high=1e9,
        open_low=True,
        primary=1,
    )


def shared(name: str, default: Any, **changed: Any) -> Any:
    """Declare an option of `SharedOptions` with a model's preset; see `preset` for what may change."""
    return preset(SharedOptions, name, default, **changed)
