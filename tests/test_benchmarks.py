"""The suite of benchmarks: turns, ratios and judges, and what it does where a rival is missing."""

import sys
import time
from pathlib import Path

import pytest

from benchmarks.__main__ import MissingError, measure
from benchmarks.rows import ROWS, Case, Pair


def burn(seconds: float) -> Case:
    ends = time.process_time() + seconds
    while time.process_time() < ends:
        pass
    return {"took": seconds}


def test_a_ratio_is_of_the_same_amount_of_work_and_leaves_the_judge_out() -> None:
    def judge(result: Case) -> float:
        burn(0.3)
        return float(result["took"])

    pair = Pair(lambda: burn(0.04), lambda: burn(0.02), judge, {}, share=10)
    ratio = measure(pair, Path(sys.executable), 3)
    assert ratio.ratio == pytest.approx(5, rel=0.3)
    assert ratio.least <= ratio.ratio <= ratio.greatest
    assert ratio.quality == (0.04, 0.02)


def test_a_rival_that_cannot_be_had_is_told_apart_from_a_slow_one() -> None:
    with pytest.raises(MissingError):
        measure(Pair(dict, "no_such_rival", lambda _: 0.0, {}), Path(sys.executable), 1)


def test_both_sides_of_a_row_come_to_the_same_lists() -> None:
    pair = ROWS["lists of everybody"].make(True)
    assert not isinstance(pair.rival, str)
    assert pair.judge(pair.ours()) == pytest.approx(pair.judge(pair.rival()), rel=1e-4)
