"""Configurations: an error names the field, the value and the range."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recengine.errors import BadInput
from recengine.training.config import Config, RunConfig, option


@dataclass(frozen=True)
class Example(Config):
    """One field of each kind."""

    dim: int = option(8, "size", low=1, high=64)
    rate: float = option(0.1, "step", low=0, high=1, open_low=True)
    loss: Literal["bpr", "hinge"] = option("bpr", "loss")
    bias: bool = option(True, "bias")
    layers: tuple[int, ...] = option((16, 8), "widths", low=1, high=512)
    cap: int | None = option(None, "cap", low=1)
    half: float | Literal["auto"] | None = option(None, "half", low=0, open_low=True)
    span: tuple[float, float] | None = option(None, "span")


def test_text_is_read_as_the_command_line_gives_it() -> None:
    made = Example.from_dict(
        {"dim": "12", "rate": "1e-2", "loss": "hinge", "bias": "false", "layers": "32,16", "cap": "none"}
    )
    assert made == Example(dim=12, rate=0.01, loss="hinge", bias=False, layers=(32, 16), cap=None)
    assert (type(made.dim), type(made.rate)) == (int, float)
    read = [Example.from_dict({"half": text, "span": "0,5"}) for text in ("auto", "2", "none", 3)]
    assert [one.half for one in read] == ["auto", 2.0, None, 3.0]
    assert read[0].span == (0.0, 5.0)
    assert Example(rate=1) == Example(rate=1.0)
    assert type(Example(rate=1).rate) is float  # so that 1 and 1.0 have one key in the store


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("dim", 0, "at least 1 and at most 64"),
        ("dim", 65, "at least 1 and at most 64"),
        ("dim", "9" * 400, "at least 1 and at most 64"),
        ("dim", 2.5, "a whole number"),
        ("dim", "two", "a whole number"),
        ("dim", True, "a whole number"),
        ("dim", float("inf"), "a whole number"),
        ("dim", None, "a whole number"),
        ("rate", 0, "more than 0 and at most 1"),
        ("rate", 1.0000001, "1.0000001 is out of range"),
        ("rate", "nan", "more than 0 and at most 1"),
        ("rate", float("inf"), "more than 0 and at most 1"),
        ("rate", "fast", "a number"),
        ("loss", "hing", "did you mean 'hinge'"),
        ("bias", "maybe", "true or false"),
        ("layers", "0", "at least 1"),
        ("layers", "32,x", "whole numbers joined by commas"),
        ("cap", 0, "at least 1"),
        ("half", "autos", "a number or 'auto'"),
        ("half", 0, "more than 0"),
        ("half", "-1", "more than 0"),
        ("span", "0", "2 numbers joined by commas"),
        ("span", "0,1,2", "2 numbers joined by commas"),
    ],
)
def test_a_bad_value_is_named_with_its_field_and_what_was_expected(field, value, expected) -> None:
    with pytest.raises(BadInput) as caught:
        Example.from_dict({field: value})
    text = str(caught.value)
    assert text.startswith(field)
    assert expected in text
    assert str(value)[:50] in text
    assert "\n" not in text


def test_an_unknown_parameter_is_named_with_the_closest_known_one() -> None:
    with pytest.raises(BadInput, match=r"dims is not an option of Example \(did you mean 'dim'\?\)"):
        Example.from_dict({"dims": 3})


def test_a_config_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Example().dim = 9


@given(
    st.builds(
        Example,
        dim=st.integers(1, 64),
        rate=st.floats(0, 1, exclude_min=True),
        loss=st.sampled_from(["bpr", "hinge"]),
        bias=st.booleans(),
        layers=st.lists(st.integers(1, 512), max_size=4).map(tuple),
        cap=st.none() | st.integers(1, 10**9),
        half=st.none() | st.just("auto") | st.floats(0, 1e6, exclude_min=True),
        span=st.none() | st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)),
    )
)
@settings(max_examples=60, deadline=None)
def test_any_config_survives_its_dictionary_and_its_text(config) -> None:
    assert Example.from_dict(config.to_dict()) == config
    as_text = {k: ",".join(map(str, v)) if isinstance(v, list) else str(v) for k, v in config.to_dict().items()}
    assert Example.from_dict(as_text) == config


def test_a_run_names_what_is_wrong_with_it() -> None:
    with pytest.raises(BadInput, match="seed=-1 is out of range"):
        RunConfig(seed=-1)
    with pytest.raises(BadInput, match="epochs=0 is out of range"):
        RunConfig(epochs=0)
    with pytest.raises(BadInput, match=r"device 'cda' is unknown \(did you mean 'cuda'\?\)"):
        RunConfig(device="cda")
    assert RunConfig(device="cpu").torch_device().type == "cpu"


def test_cuda_on_a_machine_without_it_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert RunConfig().torch_device().type == "cpu"
    with pytest.raises(BadInput, match="choose 'cpu' or 'auto'"):
        RunConfig(device="cuda").torch_device()
