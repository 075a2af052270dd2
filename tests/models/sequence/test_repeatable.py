"""The same seed trains the same sequence model, however many threads the machine offers."""

import pytest
import torch

from recengine.data.sources import load_dataset
from recengine.models.registry import model_class
from recengine.training.config import RunConfig


@pytest.mark.parametrize("name", ["gru", "sasrec"])
def test_m42_two_trainings_with_one_seed_are_equal_to_the_byte_on_two_threads(name: str) -> None:
    positives = load_dataset("sample").positives(4.0)
    rows = positives.select(positives.user_idx < 150)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        states = [
            model_class(name)().fit(rows, run=RunConfig(device="cpu", epochs=1, seed=3)).state() for _ in range(3)
        ]
    finally:
        torch.set_num_threads(threads)
    for key, tensor in states[0].items():
        assert all(torch.equal(tensor, other[key]) for other in states[1:]), key
