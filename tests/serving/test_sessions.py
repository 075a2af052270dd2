"""Online sessions: they learn exactly what the model would, undo to the byte, and affect no other visitor."""

import copy
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.models.streaming.step import Step, StepConfig
from recengine.serving.event_log import Event, EventLog, located
from recengine.serving.recommend import PASSED_WEIGHT, recommend_new
from recengine.serving.sessions import OnlineSession
from recengine.training.config import RunConfig

Fit = Callable[..., Step]
EVENTS = [(3, 5.0), (17, 4.5), (3, 1.0), (30, 5.0), (8, 4.0)]


def rate(item: int, stars: float = 5.0) -> Event:
    return Event("rate", str(item), stars, item_idx=item)


@pytest.fixture(scope="module")
def fit(tiny: Dataset) -> Fit:
    def fit_one(**settings: Any) -> Step:
        config = StepConfig.from_dict({"embedding_dim": 8, **settings})
        return Step(config).fit(tiny.positives(4.0), run=RunConfig(device="cpu", epochs=2))

    return fit_one


@pytest.fixture(scope="module")
def model(fit: Fit) -> Step:
    return fit()


def state(model: Step) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in model.state().items()}


@pytest.mark.parametrize(
    "settings",
    [
        {"replay": 0},
        {"replay": 0, "optimizer": "sgd", "loss": "squared", "event_negatives": 0},
        {"replay": 0, "optimizer": "adam", "loss": "softmax", "confidence": 0.5},
        {"replay": 0, "negatives_from": "oldest", "loss": "logistic"},
        {"replay": 0, "negatives_from": "any", "freeze_items": True},
    ],
    ids=str,
)
def test_a_session_learns_what_the_model_would(fit: Fit, settings: dict[str, Any]) -> None:
    """It is compared with the whole model, where the visitor is one more user whose vector starts at zero.

    Its list is that of a new user with the same ratings, of the model that has learned from them.
    """
    model = fit(**settings)
    whole = copy.deepcopy(model)
    visitor = whole.n_users
    empty = Interactions.from_pairs([], [], n_users=visitor + 1, n_items=whole.n_items)
    whole.make_room(empty)
    whole.network.users[visitor], whole.network.random[0] = 0, 9
    session = OnlineSession(model, seed=9)
    for item, rating in EVENTS:
        session.append(rate(item, rating))
        one = Interactions.from_pairs([visitor], [item], rating=[rating], n_users=visitor + 1, n_items=whole.n_items)
        whole.partial_fit(one)
    assert torch.allclose(torch.from_numpy(session._overlay.users[0]), whole.network.users[visitor], atol=1e-5)
    top = session.top(whole.n_items - len({item for item, _ in EVENTS}))
    expected = whole.score_history(history(EVENTS, whole))[0]
    assert torch.allclose(top.scores[0], expected[top.items[0]], atol=1e-5)
    assert top.scores[0].tolist() == sorted(top.scores[0].tolist(), reverse=True)
    assert not {item for item, _ in EVENTS} & set(top.items[0].tolist())
    assert session.n_touched > 0 or settings.get("freeze_items")


def history(events: Sequence[tuple[int, float]], model: Step) -> Interactions:
    items, ratings = zip(*events, strict=True)
    return Interactions.from_pairs([0] * len(items), items, rating=ratings, n_users=1, n_items=model.n_items)


def test_an_undo_restores_the_state_to_the_byte(model: Step) -> None:
    session = OnlineSession(model)
    seen = [(session.state(), session.top().items.tolist())]
    for item, rating in EVENTS:
        session.append(rate(item, rating))
        seen.append((session.state(), session.top().items.tolist()))
    for earlier in reversed(seen[:-1]):
        session.undo()
        assert (session.state(), session.top().items.tolist()) == earlier
    with pytest.raises(IndexError):
        session.undo()


@given(
    st.lists(st.tuples(st.integers(0, 39), st.sampled_from([0.5, 3.0, 4.0, 5.0])), max_size=12),
    st.data(),
)
@settings(deadline=None, max_examples=60)
def test_the_same_events_lead_to_the_same_bytes_by_any_route(
    model: Step, events: list[tuple[int, float]], data: st.DataObject
) -> None:
    wanted = [rate(*event) for event in events]
    fresh = OnlineSession(model, positive=4.0, seed=4)
    fresh.replay(wanted)
    other = OnlineSession(model, positive=4.0, seed=4)
    for _ in range(data.draw(st.integers(0, 3))):
        other.follow(wanted[: data.draw(st.integers(0, len(wanted)))])
    other.follow([*wanted, rate(1)])
    other.undo()
    assert other.state() == fresh.state()
    assert other.events == fresh.events == wanted
    shown = other.top(40 - len({event[0] for event in events})).items[0].tolist()
    assert not set(shown) & {event[0] for event in events}


def test_no_session_changes_the_snapshot_or_another_session(model: Step) -> None:
    before = state(model)
    quiet = OnlineSession(model, seed=1)
    quiet.append(rate(5))
    held = quiet.state(), quiet.top().items.tolist()
    for seed in range(20):
        loud = OnlineSession(model, seed=seed)
        for item in range(40):
            loud.append(rate(item))
    assert state(model) == before
    assert (quiet.state(), quiet.top().items.tolist()) == held


def test_a_rating_below_the_threshold_leaves_the_lists_and_moves_no_item(model: Step) -> None:
    session = OnlineSession(model, positive=4.0)
    first = session.top(3).items[0].tolist()
    session.append(rate(first[0], 3.0))
    assert session.n_touched == 0
    assert session.top(2).items[0].tolist() == first[1:]
    assert session.top(3, include_seen=True).items[0].tolist() == first
    assert session.top(2, among=first[2:]).items[0].tolist() == [first[2], -1]
    assert session.top(2).items[0].tolist() == first[1:]


def test_a_dislike_counts_in_a_session_and_can_be_undone(model: Step) -> None:
    """The kinds of the data are the remainders by 4."""
    session = OnlineSession(model, positive=4.0)
    session.append(rate(1))
    before = session.top(39)
    session.append(rate(8, 1.0))
    after = dict(zip(*(part[0].tolist() for part in session.top(38)), strict=True))
    lost = {
        item: score - after[item] for item, score in zip(*(p[0].tolist() for p in before), strict=True) if item != 8
    }
    alike = [lost[item] for item in range(0, 40, 4) if item != 8]
    assert min(lost.values()) >= 0
    assert np.mean(alike) > 2 * np.mean([lost[item] for item in lost if item % 4])
    session.undo()
    assert torch.equal(session.top(39).scores, before.scores)


def test_what_is_passed_is_left_out_speaks_mildly_against_its_kind_and_leaves_no_trace(model: Step) -> None:
    """The kinds of the data are the remainders by 4; the scores are those that `recommend_new` gives a new user."""
    session = OnlineSession(model, positive=4.0)
    assert not {4, 8} & set(session.top(38, passed=[4, 8]).items[0].tolist())
    session.append(rate(1, 4.0))
    session.append(rate(20, 1.0))
    state, before = session.state(), session.scores()[0]
    passed = session.scores(passed=[8])[0]
    assert passed[8] == -torch.inf
    alike = [item for item in range(0, 40, 4) if item not in (8, 20)]
    lost = before - passed
    assert lost[alike].mean() > 2 * lost[[item for item in range(40) if item % 4 == 2]].mean() >= 0
    session.append(rate(8, 1.0))
    disliked = before - session.scores()[0]
    assert torch.allclose(lost[alike], PASSED_WEIGHT * disliked[alike], atol=1e-5)
    session.undo()
    assert session.state() == state
    assert torch.equal(session.scores()[0], before)


def test_a_session_lists_what_is_recommended_to_a_new_user(fit: Fit, tiny: Dataset) -> None:
    model = fit(freeze_items=True, item_bias=False)
    session = OnlineSession(model, positive=4.0, in_scale=tiny.in_scale)
    for item, stars in EVENTS[:2]:
        session.append(rate(item, stars))
    passed, rows = Interactions.from_pairs([0], [4], n_users=1, n_items=40), history(EVENTS[:2], model)
    expected = recommend_new(model, tiny, rows, k=37, passed=passed).ranking
    top = session.top(37, passed=[4])
    assert top.items.tolist() == expected.items.tolist()
    assert torch.allclose(top.scores, expected.scores, atol=1e-6)


def test_equal_scores_are_ordered_by_what_is_rated_not_by_index(fit: Fit) -> None:
    model = fit()
    model.kinds = torch.zeros_like(model.kinds)
    for table in (model.network.items, model.network.bias):
        table[:] = 0
    model._prepare()
    firsts = set()
    for item in range(40):
        session = OnlineSession(model, positive=6.0)
        session.append(rate(item))
        firsts.add(int(session.top(5).items[0, 0]))
    assert len(firsts) > 15


def test_the_list_of_one_sitting_hardly_depends_on_its_order(fit: Fit) -> None:
    model, rows = fit(), [(1, 5.0), (5, 4.5), (8, 1.0), (13, 5.0), (21, 4.0), (2, 2.0)]
    folded = set(model.score_history(history(rows, model))[0].argsort(descending=True)[:16].tolist())
    lists = []
    for order in (rows, rows[::-1]):
        session = OnlineSession(model, positive=4.0)
        for event in order:
            session.append(rate(*event))
        lists.append(set(session.top(10).items[0].tolist()))
    assert len(lists[0] & lists[1]) >= 9
    assert len(lists[0] & folded) >= 9


def test_an_unknown_item_is_bad_input(model: Step) -> None:
    with pytest.raises(BadInput, match="item_idx=40 is out of range; expected 0 to 39"):
        OnlineSession(model).append(rate(40))


def test_room_grows_with_the_events(fit: Fit) -> None:
    model = fit(event_negatives=20, passes=3)
    session = OnlineSession(model)
    for item in np.random.default_rng(0).permutation(40).tolist():
        session.append(rate(item))
    assert session.n_touched <= 40
    again = OnlineSession(model)
    again.replay(session.events)
    assert again.state() == session.state()


class Visits(RuleBasedStateMachine):
    """A visitor's log, session and a plain list of what stands: after any operations, all three agree."""

    home: Path
    model: Step

    @initialize()
    def start(self) -> None:
        (self.home / "ratings.db").unlink(missing_ok=True)
        self.count, self.stacks = 0, {}
        self._open()

    def _open(self) -> None:
        self.log = EventLog(f"sqlite:///{self.home / 'ratings.db'}")
        self.session = OnlineSession(self.model, positive=4.0)

    def _act(self, *acts: tuple[str, int, float | None]) -> None:
        events = []
        for kind, item, stars in acts:
            self.count += 1
            events.append(Event(kind, str(item), stars, 1, f"e{self.count}"))
            stack = self.stacks.setdefault(item, [])
            if kind == "undo":
                del stack[-1:]
            else:
                stack.append((self.count, kind, stars))
        assert self.log.append("ann", "tiny", events) == len(events)

    @rule(item=st.integers(0, 6), stars=st.sampled_from([0.5, 3.0, 4.0, 5.0]))
    def rate(self, item: int, stars: float) -> None:
        self._act(("rate", item, stars))

    @rule(item=st.integers(0, 6), kind=st.sampled_from(["undo", "clear", "pass"]))
    def other(self, item: int, kind: str) -> None:
        self._act((kind, item, None))

    @rule(items=st.lists(st.integers(0, 9), max_size=4, unique=True))
    def import_file(self, items: list[int]) -> None:
        self._act(*(("rate", item, 4.5) for item in items))

    @rule()
    def restart(self) -> None:
        self.log.close()
        self._open()

    @invariant()
    def all_agree(self) -> None:
        tops = sorted((stack[-1], item) for item, stack in self.stacks.items() if stack)
        wanted = [(item, kind, stars) for (_, kind, stars), item in tops if kind != "clear"]
        standing = self.log.standing("ann", "tiny")
        assert [(int(row.item_id), row.kind, row.stars) for row in standing] == wanted
        index_of = {str(item): item for item in range(10)}
        events = [event for event in located(standing, index_of) if event.kind == "rate"]
        self.session.follow(events)
        fresh = OnlineSession(self.model, positive=4.0)
        fresh.replay(events)
        assert self.session.state() == fresh.state()
        assert self.session.top().items.tolist() == fresh.top().items.tolist()

    def teardown(self) -> None:
        self.log.close()


@pytest.mark.slow
def test_log_projection_and_session_agree_after_any_operations(model: Step, tmp_path: Path) -> None:
    Visits.home, Visits.model = tmp_path, model
    steps = 10_000 if os.environ.get("RECENGINE_LONG") else 500
    checks = list(HealthCheck)
    profile = settings(max_examples=steps // 50, stateful_step_count=50, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(Visits, settings=profile)
