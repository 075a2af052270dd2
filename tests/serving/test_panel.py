"""The taste panel: what counts as a nod, a wince and a film that should be gone; and the package's tastes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from recengine.cli import main
from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.sources import load_dataset
from recengine.errors import BadInput
from recengine.models.registry import model_class
from recengine.serving.panel import FILES, SAMPLE_FILES, Films, panel, read_tastes

TASTE = {
    "liked": ["Alien (1979)", "Thing, The (1982)"],
    "disliked": ["Notting Hill (1999)"],
    "nod": ["Jaws (1975)"],
    "wince": ["Jaws (1975)", "Pretty Woman (1990)"],
    "nod_rules": [{"genres_any": ["Horror"], "year": [1970, 1989]}],
    "wince_rules": [{"genres_any": ["Romance"], "not_genres": ["Horror"]}, {"titles": ["Toy Story"]}],
}


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset("sample")


class Fixed(model_class("taste")):  # type: ignore[misc]
    """Lists the same films in the same order, or others where somebody dislikes something."""

    def __init__(self, first: list[int], with_dislikes: list[int]) -> None:
        super().__init__()
        self.first, self.with_dislikes = first, with_dislikes

    def score_history(self, histories: Interactions) -> torch.Tensor:
        scores = torch.zeros(histories.n_users, histories.n_items)
        chosen = self.with_dislikes if (histories.rating < 3).any() else self.first
        scores[:, chosen] = torch.arange(len(chosen), 0, -1).float()
        return scores

    def arrange(self, scores: torch.Tensor) -> torch.Tensor:
        return scores


def test_nods_winces_and_what_is_kept_are_counted_by_list_and_by_rule(sample: Dataset) -> None:
    films = Films(sample)
    wanted = ["Jaws (1975)", "Halloween (1978)", "Pretty Woman (1990)", "Toy Story (1995)", "Fargo (1996)"]
    listed = films.find(wanted)
    assert not films.missing
    rest = [item for item in films.find(["Heat (1995)", "Vertigo (1958)"]) if item not in listed]
    report = panel(Fixed(rest + listed[:3], listed), sample, {"horror": TASTE}, k=5)
    (result,) = report.tastes
    assert result.items == listed
    assert result.nods == 2  # Jaws by name, Halloween by rule
    assert result.winces == 2  # Pretty Woman by name, Toy Story by its title; Jaws is a nod, whatever else it is
    assert result.kept_when_reversed == 1
    assert result.kept_without_dislikes == pytest.approx(3 / 5)
    rows = sample.ratings
    means = [rows.rating[rows.item_idx == item].mean() for item in listed]
    assert result.stars == pytest.approx(np.mean(means), rel=1e-5)


def test_a_contrast_counts_what_should_be_gone_with_the_dislikes_and_without(sample: Dataset) -> None:
    films = Films(sample)
    siblings = films.find(["Jaws (1975)", "Halloween (1978)"])
    contrast = {"name": "no sharks", "liked": TASTE["liked"], "disliked": TASTE["disliked"], "gone": TASTE["nod"]}
    report = panel(Fixed(siblings, siblings[1:]), sample, {}, [contrast])
    assert report.contrasts[0].without_dislikes == 1
    assert report.means()["disliked_kind_left"] == report.contrasts[0].left
    assert report.means()["nods@10"] is None


def test_a_title_that_the_data_set_does_not_have_is_named(sample: Dataset) -> None:
    films = Films(sample)
    assert films.find(["No Such Film (1901)"]) == []
    assert films.missing == ["No Such Film (1901)"]


@pytest.mark.parametrize("content", ["", "[1]", '{"a": {"liked": []}}', '[{"liked": [], "disliked": []}]', "3"])
def test_a_file_without_tastes_is_bad_input(content: str, tmp_path: Path) -> None:
    path = tmp_path / "tastes.json"
    path.write_text(content)
    with pytest.raises(BadInput, match="tastes"):
        read_tastes([path])


@pytest.mark.slow
def test_the_command_scores_tastes_of_a_file_with_the_default_model(
    tmp_path: Path, fresh_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tastes.json"
    path.write_text(json.dumps({"horror": TASTE}))
    assert main(["panel", "--dataset", "sample", "--tastes", str(path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["model"] == "taste"
    assert len(result["tastes"][0]["items"]) == 10
    assert result["kept_when_reversed"] == 1
    assert result["nods@10"] == result["tastes"][0]["nods"]
    assert result["winces@10"] == 0


@pytest.mark.real
def test_the_default_is_welcome_to_the_package_s_tastes(
    mirror: Path, fresh_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(FILES) == 2
    assert main(["panel", "--dataset", "ml-latest-small", "--json"]) == 0
    printed = capsys.readouterr()
    assert "does not have" not in printed.err
    result = json.loads(printed.out)
    assert result["nods@10"] >= 8
    assert result["winces@10"] <= 0.15
    assert result["kept_when_reversed"] == 1
    assert result["disliked_kind_left"] <= 0.25
    assert result["stars"] >= 3.85


def test_the_default_is_welcome_to_the_tastes_that_are_written_for_the_sample(
    fresh_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tastes, _ = read_tastes(SAMPLE_FILES)
    assert all(len(taste["liked"]) == 8 and len(taste["disliked"]) == 4 for taste in tastes.values())
    assert main(["panel", "--dataset", "sample", "--json"]) == 0
    printed = capsys.readouterr()
    assert "does not have" not in printed.err
    results = {taste["name"]: taste for taste in json.loads(printed.out)["tastes"]}
    assert results.keys() == tastes.keys()
    assert len(results) == 5
    for name, taste in results.items():
        assert taste["nods"] >= 7, name
        assert taste["winces"] == 0, name
        assert taste["kept_when_reversed"] == 1, name
