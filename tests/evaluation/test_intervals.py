"""Intervals and tests: by hand, inside the range, silent for few users, and right as often as they claim."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recengine.evaluation.intervals import (
    LEAST_USERS,
    SHARE,
    difference_interval,
    mean_interval,
    ratio_interval,
    student,
)
from recengine.evaluation.significance import holm, paired

Z = 1.959963984540054


def test_the_interval_of_a_hit_rate_is_wilsons() -> None:
    """3 hits of 20: the textbook's interval, .0524 to .3604."""
    value, low, high = mean_interval([1.0] * 3 + [0.0] * 17, within=SHARE)
    assert value == pytest.approx(0.15)
    assert [low, high] == pytest.approx([0.0524, 0.3604], abs=5e-5)
    assert mean_interval([math.nan, *[1.0] * 3, *[0.0] * 17], within=SHARE) == (value, low, high)


def test_the_interval_of_any_other_metric_is_students_cut_at_the_ends_of_its_range() -> None:
    values = np.random.default_rng(0).gamma(1.0, 2.0, 25)
    expected = stats.t.interval(0.95, 24, values.mean(), stats.sem(values))
    assert mean_interval(values)[1:] == pytest.approx(expected, rel=1e-5)
    low, high = mean_interval([0.0] * 24 + [9.0], within=(0.0, 1.0e9))[1:]
    assert (low, high > 0.36) == (0.0, True)


@given(st.integers(LEAST_USERS - 1, 10_000), st.sampled_from([0.5, 0.8, 0.95, 0.99]))
def test_the_quantiles_of_student_are_those_of_scipy(freedom: int, level: float) -> None:
    assert student(level, freedom) == pytest.approx(stats.t.ppf(0.5 + level / 2, freedom), rel=1e-5)


@given(st.lists(st.floats(0, 1), min_size=LEAST_USERS, max_size=60), st.data())
def test_m45_an_interval_never_leaves_the_range_and_holds_its_mean(values: list[float], data) -> None:
    others = data.draw(st.lists(st.floats(0, 1), min_size=len(values), max_size=len(values)))
    for (value, low, high), least in (
        (mean_interval(values, within=SHARE), 0.0),
        (difference_interval(np.subtract(values, others)), -1.0),
    ):
        assert least <= low <= value + 1e-9
        assert value - 1e-9 <= high <= 1.0


@pytest.mark.parametrize("n", range(LEAST_USERS))
def test_m45_too_few_users_get_no_interval_and_no_test(n: int) -> None:
    values = np.linspace(0.1, 0.9, n)
    for interval in (
        mean_interval(values, within=SHARE),
        mean_interval(values),
        difference_interval(values),
        ratio_interval(values, np.ones(n)),
        paired({"other": values})["other"],
    ):
        assert interval[0] == pytest.approx(values.mean(), nan_ok=True) if n else math.isnan(interval[0])
        assert all(math.isnan(part) for part in interval[1:])


@pytest.mark.parametrize("n", [20, 50, 400])
@pytest.mark.parametrize("rate", [0.02, 0.05, 0.5, 0.95])
def test_m45_the_interval_of_a_hit_rate_covers_it_as_often_as_it_says(n: int, rate: float) -> None:
    """The normal interval covers .05 at 20 users 64 % of the time."""
    hits = (np.random.default_rng(n).random((1500, n)) < rate).astype(float)
    covered = [low <= rate <= high for _, low, high in (mean_interval(row, within=SHARE) for row in hits)]
    assert np.mean(covered) > 0.90


@pytest.mark.parametrize("n", [20, 50, 400])
def test_m45_the_interval_of_ndcg_and_of_a_difference_cover_theirs(n: int) -> None:
    """A hit in 8 % of the lists, in 12 % of the other model's, at any rank of ten."""
    rng = np.random.default_rng(n)
    gains = 1 / np.log2(rng.integers(2, 12, (1500, n)))
    draw = rng.random((1500, n))
    one, other = gains * (draw < 0.08), gains * (draw > 0.88)
    mean = np.mean(1 / np.log2(np.arange(2, 12)))
    low, high = np.array([mean_interval(row, within=SHARE)[1:] for row in one]).T
    assert np.mean((low <= 0.08 * mean) & (0.08 * mean <= high)) > 0.92
    low, high = np.array([difference_interval(row)[1:] for row in one - other]).T
    assert np.mean((low <= -0.04 * mean) & (-0.04 * mean <= high)) > 0.92


# Tests ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "apart"), [(20, 0.2), (60, 0.1), (400, 0.5)])
def test_of_equal_models_one_in_twenty_is_ahead_by_more_than_chance_at_most(n: int, apart: float) -> None:
    rng = np.random.default_rng(n)
    sets = rng.normal(size=(1000, n)) * (rng.random((1000, n)) < apart)
    below = np.mean([paired({"a": row})["a"].p < 0.05 for row in sets])
    assert below < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1000)


def test_a_few_users_apart_are_tested_by_random_signs() -> None:
    """Five users gain and none loses: of 32 choices of signs two are as far from 0, so that p is 1/16."""
    differences = np.r_[np.full(5, 0.3), np.zeros(100)]
    assert paired({"a": differences})["a"].p == pytest.approx(2 / 32, abs=0.01)
    assert paired({"a": np.zeros(50)})["a"].p == 1.0


def test_many_users_are_tested_by_the_normal_distribution() -> None:
    differences = np.random.default_rng(1).normal(0.1, 1, 500)
    z = differences.mean() / (differences.std(ddof=1) / math.sqrt(500))
    assert paired({"a": differences})["a"].p == pytest.approx(2 * stats.norm.sf(abs(z)))


def test_what_was_not_tested_does_not_count_among_the_tests() -> None:
    assert holm([0.01, math.nan, 0.04]) == pytest.approx([0.02, math.nan, 0.04], nan_ok=True)
