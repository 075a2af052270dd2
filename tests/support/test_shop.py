"""The invented shop has what real shops' files have, and tastes to learn."""

import io

import numpy as np
import pandas as pd
import pytest

from recengine.data.interactions import Interactions
from recengine.data.splits import stratified_split
from recengine.evaluation.ranking import evaluate
from recengine.models.registry import model_class
from tests.support.shop import EVENTS, shop_csv, shop_events


@pytest.fixture(scope="module")
def events() -> pd.DataFrame:
    return shop_events()


def test_the_file_is_as_long_as_asked_and_reads_back_to_the_byte(events: pd.DataFrame) -> None:
    assert events.shape == (200_000, 4)
    assert list(events) == ["user", "product", "event", "time"]
    pd.testing.assert_frame_equal(pd.read_csv(io.BytesIO(shop_csv()), dtype=str), events, check_dtype=False)


def test_the_same_seed_gives_the_same_events_and_another_gives_others(events: pd.DataFrame) -> None:
    assert shop_csv(500, seed=3) == shop_csv(500, seed=3)
    assert shop_csv(500, seed=3) != shop_csv(500, seed=4)


def test_ids_hold_spaces_commas_quotes_and_letters_beyond_ascii(events: pd.DataFrame) -> None:
    products = set(events["product"])
    assert "SKU-0000 Käse & Brot" in products
    for sign in (",", '"', "🍵", "%"):
        assert any(sign in product for product in products)
    assert any("Ünal" in user for user in events["user"].head(1000))


def test_pairs_repeat_and_a_view_comes_before_the_cart_and_that_before_the_purchase(events: pd.DataFrame) -> None:
    assert events.duplicated(["user", "product"]).mean() > 0.5
    assert events["time"].is_monotonic_increasing
    first = events.groupby(["user", "product", "event"])["time"].min().unstack("event")[list(EVENTS)]
    assert first["view"].notna().all()
    for before, after in (("view", "cart"), ("cart", "purchase")):
        bought = first.dropna(subset=[after])
        assert len(bought) > 5_000
        assert (bought[before] < bought[after]).all()


def test_there_is_something_to_learn() -> None:
    events = shop_events(20_000, users=1_500, products=300, seed=2)
    pairs = events.drop_duplicates(["user", "product"])
    user, product = (pd.factorize(pairs[column])[0] for column in ("user", "product"))
    data = Interactions.from_pairs(user, product, n_users=user.max() + 1, n_items=product.max() + 1)
    split = stratified_split(data, rng=np.random.default_rng(0))
    reached = {n: evaluate(model_class(n)().fit(split.fit), split).means()["ndcg@10"] for n in ("popularity", "ease")}
    assert reached["ease"][1] > reached["popularity"][2], "the intervals are apart"
