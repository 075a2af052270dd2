"""Together: who watches, how they agree, and who gave way."""

import numpy as np
import pytest
import torch

from pages.ui.caches import personas
from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.experiments.train import TrainingRequest, obtain
from recengine.models.registry import DEFAULT
from recengine.serving.group import debts, recommend_group
from recengine.serving.recommend import recommend
from tests.app.conftest import Open, cards, markup, names, settle

PAGE = "together.py"


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset("sample")


def own_lists(sample: Dataset, count: int) -> torch.Tensor:
    users = [persona.user_idx for persona in personas(sample, 4.0)[:count]]
    return recommend(obtain(TrainingRequest(sample, DEFAULT)).model, sample, users, k=sample.n_items).ranking.items


def test_two_personas_get_the_list_that_neither_minds(open_app: Open, sample: Dataset) -> None:
    app = open_app(PAGE)
    both = recommend_group(own_lists(sample, 2), strategy="misery")
    assert names(app, "together") == sample.items["title"].iloc[both.items].tolist()
    first, second = (persona.title for persona in personas(sample, 4.0)[:2])
    for card, ranks in zip(cards(app, "together"), both.ranks, strict=True):
        assert f"{first}: <b>#{ranks[0]:,}</b>" in card
        assert f"{second}: <b>#{ranks[1]:,}</b>" in card


def test_nothing_that_one_of_them_rated_is_listed(open_app: Open, sample: Dataset) -> None:
    shown = names(open_app(PAGE), "together")
    for persona in personas(sample, 4.0)[:2]:
        rated = sample.ratings.item_idx[sample.ratings.user_idx == persona.user_idx]
        assert not set(sample.items["title"].iloc[np.unique(rated)]) & set(shown)


@pytest.mark.parametrize("strategy", ["average", "turns"])
def test_the_strategy_in_the_address_decides(open_app: Open, sample: Dataset, strategy: str) -> None:
    members = [str(sample.user_ids[persona.user_idx]) for persona in personas(sample, 4.0)[:3]]
    app = open_app(PAGE, strategy=strategy, group="|".join(members))
    listing = recommend_group(own_lists(sample, 3), strategy=strategy)  # type: ignore[arg-type]
    assert names(app, "together") == sample.items["title"].iloc[listing.items].tolist()
    assert (" to choose</i>" in markup(app)) == (strategy == "turns")


def test_who_gave_way_is_remembered_and_weighs(open_app: Open, sample: Dataset) -> None:
    app = open_app(PAGE, strategy="turns")
    chosen = names(app, "together")[0]
    app.button(key="watch-0").click()
    settle(app)
    assert f"Tonight: <b>{chosen}" in markup(app)
    assert "gave way most" in markup(app)
    first = recommend_group(own_lists(sample, 2), strategy="turns", k=1)
    next_to_choose = int(debts([0, 0], first.ranks[0]).argmax())  # it may be who chose, if that film suits them less
    assert f"<i>{personas(sample, 4.0)[next_to_choose].title} to choose</i>" in cards(app, "together")[0]


def test_one_member_is_no_group(open_app: Open) -> None:
    app = open_app(PAGE)
    app.multiselect(key="group").set_value(app.multiselect(key="group").value[:1])
    settle(app)
    assert "Choose at least two" in markup(app)
    assert not cards(app, "together")


def test_strangers_in_the_address_are_passed_over(open_app: Open) -> None:
    app = open_app(PAGE, group="nobody|![x](http://192.0.2.9/)", strategy="vote")
    assert not app.exception
    assert len(names(app, "together")) == 10
