"""Whatever the ids are, what goes in as raw ids comes out as the same raw ids, also after a save and a load."""

from pathlib import Path

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import recengine as rec

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=5).filter(str.strip)
NUMBER = st.integers(-(2**63), 2**63 - 1)


def pairs_of(users: st.SearchStrategy[object], items: st.SearchStrategy[object]) -> st.SearchStrategy[list[object]]:
    """Return lists of pairs over a few users and at least three items."""
    some = st.tuples(
        st.lists(users, min_size=2, max_size=5, unique=True), st.lists(items, min_size=3, max_size=6, unique=True)
    )
    return some.flatmap(
        lambda both: st.lists(
            st.tuples(st.sampled_from(both[0]), st.sampled_from(both[1])), min_size=3, max_size=20, unique=True
        )
    )


@given(pairs=st.one_of(pairs_of(TEXT, NUMBER), pairs_of(NUMBER, TEXT), pairs_of(TEXT, TEXT), pairs_of(NUMBER, NUMBER)))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lists_hold_the_ids_that_were_given_and_nothing_that_was_rated(pairs, tmp_path: Path) -> None:
    frame = pd.DataFrame(pairs, columns=["u", "i"])
    data = rec.from_pandas(frame, user="u", item="i", feedback="implicit", aggregate="latest")
    model = rec.ItemKNN().fit(data)
    n_items = frame["i"].nunique()
    users = frame["u"].unique().tolist()
    table = model.recommend(users, k=n_items)
    listed = set(zip(table["user_id"], table["item_id"], strict=True))
    everything = {(user, item) for user in users for item in frame["i"].unique().tolist()}
    assert listed == everything - set(pairs), "each item that a user has not rated is listed, and no other"
    assert len(listed) == len(table)
    new = model.recommend_new([[pairs[0][1]]], k=n_items)
    assert set(new["item_id"]) == set(frame["i"].unique().tolist()) - {pairs[0][1]}
    model.save(tmp_path / "model")
    loaded = rec.load_model(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.recommend(users, k=n_items), table)
