"""Model folders: whatever the ids are, a data set comes back from its folder, and another one is matched to it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recengine.data.reading import Reading
from recengine.data.sources import from_frame, load_dataset
from recengine.errors import BadInput
from recengine.evaluation.policy import EvaluationPolicy
from recengine.experiments.model_folder import align, open_folder, save_folder
from recengine.experiments.store import Manifest, Origin, Trained
from recengine.models.simple.baselines import Popularity

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=6)
IDS = st.one_of(st.integers(-(2**63), 2**63 - 1), TEXT.filter(str.strip))


def folder_of(path, data, **options):
    model = Popularity().fit(data.ratings)
    manifest = Manifest("popularity", {}, Origin(data=data.fingerprint), 0.0, "2026-01-01T00:00:00+00:00", None, {})
    save_folder(path, Trained(model, path, manifest, fresh=True), data, **{"positive": 4.0, **options})
    return open_folder(path)


def frame(pairs) -> pd.DataFrame:
    users, items = zip(*pairs, strict=True)
    stars = [1 + n % 5 for n in range(len(pairs))]
    return pd.DataFrame({"user_id": users, "item_id": items, "rating": stars, "timestamp": range(len(pairs))})


@given(pairs=st.lists(st.tuples(TEXT.filter(str.strip), IDS.map(str)), min_size=2, max_size=9, unique=True))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_m24_ids_come_back_to_the_byte(pairs, tmp_path) -> None:
    data = from_frame(frame(pairs))
    opened = folder_of(tmp_path / "model", data)
    assert opened.dataset.user_ids.tolist() == data.user_ids.tolist()
    assert opened.dataset.item_ids.tolist() == data.item_ids.tolist()
    assert opened.dataset.fingerprint == data.fingerprint
    aligned = align(data, opened)
    assert aligned.users.tolist() == list(range(data.n_users))
    assert (len(aligned.new_ids), aligned.unknown_items) == (0, 0)
    for name in ("user_idx", "item_idx", "rating", "timestamp"):
        assert np.array_equal(getattr(aligned.dataset.ratings, name), getattr(data.ratings, name))


@given(data=st.data(), ids=st.lists(st.integers(0, 10**12), min_size=4, max_size=9, unique=True))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_row_goes_to_its_user_and_item_whatever_came_before_and_after(data, ids, tmp_path) -> None:
    """An older and a newer edition overlap: rows of known items stay, each with the user and item that it had."""
    pairs = st.lists(st.tuples(st.sampled_from(ids), st.sampled_from(ids)), min_size=1, max_size=20, unique=True)
    older, newer = frame(data.draw(pairs)), frame(data.draw(pairs))
    if data.draw(st.booleans()):
        newer = newer.astype({"user_id": str, "item_id": str})  # one id that is text makes text of all
    stars = Reading(scale=(1.0, 5.0))
    opened, dataset = (
        folder_of(tmp_path / "model", from_frame(older, reading=stars)),
        from_frame(newer, reading=stars),
    )
    known_items, known_users = ({str(id) for id in older[column]} for column in ("item_id", "user_id"))
    expected = {
        (str(user), str(item), rating)
        for user, item, rating in newer[["user_id", "item_id", "rating"]].itertuples(index=False)
        if str(item) in known_items
    }
    if not known_items & {str(id) for id in newer["item_id"]}:
        with pytest.raises(BadInput, match="has none of the"):
            align(dataset, opened)
        return
    aligned = align(dataset, opened)
    got = set()
    for rows, user_ids in ((aligned.dataset.ratings, opened.dataset.user_ids), (aligned.new_rows, aligned.new_ids)):
        for user, item, rating in zip(rows.user_idx, rows.item_idx, rows.rating.tolist(), strict=True):
            got.add((str(user_ids[user]), str(opened.dataset.item_ids[item]), rating))
    assert got == expected
    assert {str(id) for id in aligned.new_ids} == {str(id) for id in newer["user_id"]} - known_users


def test_an_item_of_the_same_number_and_another_title_is_another_item(tmp_path) -> None:
    sample = load_dataset("sample")
    opened = folder_of(tmp_path / "model", sample)
    other = pd.DataFrame({"user_id": [1, 1], "item_id": sample.item_ids[:2], "rating": [5.0, 4.0]})
    titles = pd.DataFrame({"item_id": sample.item_ids[:2], "title": ["A novel", sample.items["title"][1]]})
    assert align(from_frame(other, items=titles), opened).unknown_items == 1
    assert align(from_frame(other), opened).unknown_items == 0  # without titles the ids must do


def test_events_are_not_served_by_a_model_of_ratings(tmp_path) -> None:
    rows = frame([("a", "x"), ("a", "y"), ("b", "x")])
    opened = folder_of(tmp_path / "model", from_frame(rows))
    with pytest.raises(BadInput, match="holds implicit feedback"):
        align(from_frame(rows[["user_id", "item_id"]]), opened)


def test_threshold_policy_profiles_and_scale_are_kept(tiny, tmp_path) -> None:
    policy = EvaluationPolicy(mask="positives", fallback="none", tie_seed=7)
    opened = folder_of(tmp_path / "model", tiny, positive=3.5, policy=policy)
    assert (opened.positive, opened.policy) == (3.5, policy)
    assert opened.dataset.rating_range == tiny.rating_range
    assert (opened.dataset.users is None) == (tiny.users is None)
    assert opened.dataset.items.equals(tiny.items)
