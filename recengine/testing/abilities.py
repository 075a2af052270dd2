"""The lines about abilities: each exists only for models that declare the ability."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from recengine.data.interactions import Interactions
from recengine.models.ratings.stars import Stars
from recengine.models.simple.demographic import ATTRIBUTES
from recengine.testing.lines import Lines, changed, check_scores, exists_for, refused, reloaded, requires, snapshot

LONGER = 40
"""Epochs after which a model knows which items are alike."""


class Similar(Lines):
    """`similar`, or its absence."""

    @requires("similar")
    def test_similar(self) -> None:
        """similar items are sorted, each is listed once, and the item asked about is left out."""
        model = self.trial.model
        before, asked = snapshot(model), [0, model.n_items - 1]
        ranking = model.similar_items(asked, k=model.n_items - 1)
        for item, items in zip(asked, ranking.items.tolist(), strict=True):
            listed = [other for other in items if other >= 0]
            assert item not in listed, f"item_idx {item} is in its own list"
            assert len(set(listed)) == len(listed), f"the list of item_idx {item} repeats an item"
        assert not bool((ranking.scores.diff(dim=1) > 0).any()), "a less similar item comes first"
        k = min(5, model.n_items - 1)
        alone = model.similar_items(asked[1], k=k).items[0].tolist()
        assert alone == ranking.items[1, :k].tolist(), "an item alone gets another list than in a batch"
        refused(lambda: model.similar_items(0, k=model.n_items))
        assert not changed(model, before), f"{', '.join(changed(model, before))} changed; copy before you write"

    @requires("similar")
    def test_similar_saved(self) -> None:
        """saved and loaded, it lists the same similar items."""
        model = self.trial.model
        expected = model.similar_items([0, 1], k=1)
        scores = reloaded(model).similar_items([0, 1], k=1).scores
        assert torch.equal(scores, expected.scores), "the loaded model gives other similarities"

    @requires("similar")
    def test_similar_missing_rows(self) -> None:
        """an item without ratings has a list of similar items, all of them other items."""
        trial = self.trial
        item = int(trial.rows.item_counts.argmax())
        model = trial.fit(trial.rows.select(trial.rows.item_idx != item))
        ranking = model.similar_items([item, int(item == 0)], k=model.n_items - 1)
        assert not ranking.scores.isnan().any(), "a similarity is not a number"
        assert item not in ranking.items[0].tolist(), f"item_idx {item} is in its own list"

    @exists_for(lambda contract: "similar" not in contract.model.abilities)
    def test_not_similar(self) -> None:
        """it has no similar items, and says so when asked."""
        error = refused(lambda: self.trial.model.similar_items(0, k=1))
        assert error.value == self.trial.model.name, f"asking for similar items is refused with: {error}"


class Product(Lines):
    """`product`: the vectors that other software scores with."""

    @requires("product")
    def test_product(self) -> None:
        """the products of its vectors, with the biases, are its scores."""
        model: Any = self.trial.model
        users, items, user_bias, item_bias = model.product()
        shapes = tuple(users.shape), tuple(items.shape)
        right = (len(users), len(items), users.shape[1]) == (model.n_users, model.n_items, items.shape[1])
        assert right, f"the shapes of the users' and the items' vectors are {shapes}"
        of_users, of_items = (0.0 if bias is None else bias for bias in (user_bias, item_bias))
        products = (users @ items.T + of_items).T + of_users
        expected = model.score(np.arange(model.n_users)).cpu()
        assert torch.allclose(products.T.cpu(), expected, atol=1e-5), "the products are other numbers than the scores"


class FoldIn(Lines):
    """`fold-in` and `explain`: new users, known by their ratings alone."""

    @requires("fold-in")
    def test_new_users(self) -> None:
        """new users are scored from their ratings, even when there are none."""
        model, rows = self.trial.model, self.trial.rows
        some, before = rows.of_users(self.trial.users), snapshot(model)
        scores = _fold_in(model, some)
        check_scores(scores, len(self.trial.users), model.n_items)
        check_scores(_fold_in(model, some.select(slice(0))), len(self.trial.users), model.n_items)
        alone = _fold_in(model, rows.of_users(self.trial.users[2:]))
        assert torch.allclose(scores[2], alone[0], atol=1e-4), "a new user gets other scores alone than in a batch"
        assert not changed(model, before), f"{', '.join(changed(model, before))} changed; copy before you write"

    @requires("fold-in")
    def test_new_users_saved(self) -> None:
        """saved and loaded, it gives new users the same scores."""
        model, some = self.trial.model, self.trial.rows.of_users(self.trial.users)
        assert torch.equal(_fold_in(reloaded(model), some), _fold_in(model, some)), "the loaded model scores otherwise"

    @exists_for(lambda contract: contract.folds_in_exactly or _promises(contract))
    def test_same_scores_as_a_new_user(self) -> None:
        """a user of the data gets the scores that a new user with the same ratings gets."""
        model, users = self.trial.model, self.trial.users
        folded, known = _fold_in(model, self.trial.rows.of_users(users)), model.score(users).cpu()
        assert torch.allclose(folded, known, atol=1e-5), "a new user with the same ratings gets other scores"

    @exists_for(lambda contract: contract.folds_in_nearly is not None)
    def test_nearly_the_scores_of_a_new_user(self) -> None:
        """a user of the data gets nearly the scores that a new user with the same ratings gets."""
        trial, users = self.trial, self.trial.users
        settings: dict[str, Any] = dict(self.folds_in_nearly or {})  # any of them, for the keywords of `fit`
        model = trial.fit(**settings)
        folded, known = _fold_in(model, trial.rows.of_users(users)), model.score(users).cpu()
        for user, new, old in zip(users.tolist(), folded.numpy(), known.numpy(), strict=True):
            correlation = float(np.corrcoef(new, old)[0, 1])
            assert correlation > 0.9, f"the scores of user_idx {user} as a new user correlate by {correlation:.2f}"

    @exists_for(lambda contract: contract.model.hears_dislikes and "fold-in" in contract.model.abilities)
    def test_dislikes(self) -> None:
        """what is like an item falls behind when a new user rates that item lowest."""
        trained = self.trial.kind.preset_epochs is None
        model, rows = self.trial.model if trained else self.trial.fit(epochs=LONGER), self.trial.rows
        item, liked = int(rows.item_counts.argmax()), rows.of_users(self.trial.users[:1])
        liked = liked.select(liked.item_idx != item)
        low, high = self.trial.rating_range
        if low == high:
            return  # nothing can be disliked
        change = (_fold_in(model, _rated(liked, item, low)) - _fold_in(model, liked))[0]
        others = np.setdiff1d(np.arange(model.n_items), [item, *liked.item_idx])
        alike = model.item_similarity(torch.tensor([item]))
        alike = _liked_with(rows, item) if alike is None else alike[0].cpu()
        order = others[alike[others].argsort(descending=True).numpy()]
        nearest, rest = np.split(order, [max(1, len(order) // 4)])
        near, far = float(change[nearest].mean()), float(change[rest].mean())
        assert near < far, f"the scores of items like a disliked one change by {near:g}, those of others by {far:g}"

    @requires("explain")
    def test_explanations(self) -> None:
        """the parts of an explanation add up to what a history adds to the score."""
        model: Any = self.trial.model
        user = self.trial.rows.of_users(self.trial.users[:1])
        targets = np.arange(min(3, model.n_items))
        parts = model.explain(user, targets)
        added = model.score_history(user) - model.score_history(user.select(slice(0)))
        assert parts.shape == (len(targets), len(user)), f"the shape of the parts is {tuple(parts.shape)}"
        assert torch.allclose(parts.sum(1), added[0, torch.from_numpy(targets)], atol=1e-4), "the parts do not add up"


class Ratings(Lines):
    """`ratings` and `profiles`."""

    @requires("ratings")
    def test_ratings(self) -> None:
        """predicted ratings of pairs are those of the whole row, within the scale of the data."""
        model: Any = self.trial.model
        users = self.trial.users
        whole = model.estimates(users)
        check_scores(whole, len(users), model.n_items)
        pairs = model.predict(users, np.zeros(len(users), np.int64))
        assert torch.allclose(pairs.float(), whole[:, 0], atol=1e-4), "a pair gets another rating than in the whole row"
        low, high = model.scale
        right = low - 1e-4 <= float(whole.min()) and float(whole.max()) <= high + 1e-4
        assert right, (
            f"ratings from {float(whole.min()):g} to {float(whole.max()):g} leave the scale from {low:g} to {high:g}"
        )

    @requires("stars")
    def test_stars(self) -> None:
        """a new user's predicted ratings lie within their intervals and the scale, and need no other user."""
        model: Any = self.trial.model
        rows, users = self.trial.rows, self.trial.users
        rating, low, high = model.stars(rows.of_users(users))
        check_scores(rating, len(users), model.n_items)
        lowest, highest = self.trial.rating_range
        right = (lowest - 1e-4 <= low) & (low <= rating) & (rating <= high) & (high <= highest + 1e-4)
        assert right.all(), "a predicted rating is outside its interval, or the interval leaves the scale"
        alone = model.stars(rows.of_users(users[2:]))
        assert torch.allclose(rating[2], alone.rating[0], atol=1e-4), "a new user gets other ratings than in a batch"
        unknown = model.stars(rows.of_users(users).select(slice(0)))
        widths = [float((stars.high - stars.low).mean()) for stars in (Stars(rating, low, high), unknown)]
        assert widths[0] < widths[1], f"the intervals are {widths[0]:.2f} wide; without a rating {widths[1]:.2f}"

    @requires("profiles")
    def test_profiles(self) -> None:
        """new users are scored from a profile, even an empty one; an unknown attribute is bad input."""
        model: Any = self.trial.model
        table = self.trial.user_table
        columns = [name for name in ATTRIBUTES if name in table]
        known = table[columns].dropna().iloc[-1]
        profile = {name.removesuffix("_group"): str(known[name]) for name in columns}
        scores = model.score_profiles([profile, {}])
        check_scores(scores, 2, model.n_items)
        assert not torch.equal(scores[0], scores[1]), f"the profile {profile} changes nothing"
        assert torch.allclose(model.score_profiles([{}])[0], scores[1], atol=1e-5), "a profile scores otherwise alone"
        refused(lambda: model.score_profiles([{"no such attribute": "x"}]))


class Incremental(Lines):
    """`incremental` and `session`: learning from events as they come."""

    @requires("incremental")
    def test_events(self) -> None:
        """events one by one are learned as all at once are, and each is ranked before it is learned."""
        rows, users = self.trial.rows, self.trial.users
        order = rows.chronological()
        first, more = rows.select(order[: len(order) // 2]), rows.select(order[len(order) // 2 :][:20])
        start: Any = self.trial.fit(first)
        at_once, one_by_one, ranked = (copy.deepcopy(start) for _ in range(3))
        at_once.partial_fit(more)
        for row in range(len(more)):
            one_by_one.partial_fit(more.select(slice(row, row + 1)))
        expected = at_once.score(users)
        assert not torch.equal(expected, start.score(users)), f"{len(more)} events change no score"
        assert torch.allclose(one_by_one.score(users), expected, atol=1e-5), "events one by one give other scores"
        ranks = ranked.test_then_train(more)
        right = len(ranks) == len(more) and all(1 <= rank <= start.n_items for rank in ranks)
        assert right, f"the ranks of {len(more)} events are {ranks}"
        assert torch.allclose(ranked.score(users), expected, atol=1e-5), "ranking changes what is learned"

    @requires("incremental")
    def test_new_in_events(self) -> None:
        """users and items that are new in an event are added, and such users can be forgotten again."""
        model: Any = copy.deepcopy(self.trial.model)
        n_users, n_items, users = model.n_users, model.n_items, self.trial.users
        model.partial_fit(
            Interactions.from_pairs([n_users, n_users], [0, n_items], n_users=n_users + 1, n_items=n_items + 1)
        )
        assert (model.n_users, model.n_items) == (n_users + 1, n_items + 1), "a new user or a new item is not added"
        check_scores(model.score([0, n_users]), 2, n_items + 1)
        model.forget_from(n_users)
        assert model.n_users == n_users, f"{model.n_users - n_users} users are left that should be forgotten"
        check_scores(model.score(users), len(users), n_items + 1)

    @requires("session")
    def test_session(self) -> None:
        """a session learns for one user, leaves the model as it was, and takes events back exactly."""
        from recengine.serving.event_log import Event
        from recengine.serving.sessions import OnlineSession

        model: Any = self.trial.model
        before, n_items = snapshot(model), model.n_items
        events = [Event("rate", str(item), 5.0, item_idx=item) for item in (0, n_items - 1, 0, 1)]
        session, other = OnlineSession(model, seed=1), OnlineSession(model, seed=1)
        states, k = [session.state()], n_items - 3
        for event in events:
            session.append(event)
            states.append(session.state())
        assert len(set(states)) == len(states), "an event changes nothing in the session"
        ranking = session.top(k)
        assert not {0, 1, n_items - 1} & set(ranking.items[0].tolist()), "an item rated in the session is listed"
        check_scores(ranking.scores, 1, k)
        other.replay(events)
        assert other.state() == session.state(), "the same events lead to another state in another session"
        for state in reversed(states[:-1]):
            session.undo()
            assert session.state() == state, "an event that is undone leaves traces"
        moved = changed(model, before)
        assert not moved, f"a session changed {', '.join(moved)} of the model; copy before you write"


def _fold_in(model: Any, histories: Interactions) -> torch.Tensor:
    return model.score_history(histories).cpu()


def _rated(history: Interactions, item: int, rating: float) -> Interactions:
    """Return one user's rows with one more, the latest."""
    return Interactions.from_pairs(
        np.zeros(len(history) + 1),
        np.append(history.item_idx, item),
        rating=np.append(history.rating, rating),
        timestamp=np.append(history.timestamp, history.timestamp.max(initial=0) + 1),
        n_users=1,
        n_items=history.n_items,
    )


def _liked_with(rows: Interactions, item: int) -> torch.Tensor:
    """Return (n_items,): the share of those who like each item that likes one item, too; liked is from the mean up."""
    liked = rows.at_least(float(np.mean(rows.rating)))
    both = liked.of_users(liked.user_idx[liked.item_idx == item]).item_counts
    return torch.from_numpy(both / np.maximum(liked.item_counts, 1))


def _promises(contract: Any) -> bool:
    """Return whether a model declares that users of the data are scored as new users are."""
    return bool(getattr(contract.model(), "scores_from_history", False))
