"""The report of an evaluation: the figures of the layers below, as text, HTML, dict and frame."""

import json
import re

import pytest

import recengine as rec
from recengine.evaluation.ranking import evaluate as evaluate_indices
from recengine.export import json_ready


@pytest.fixture(scope="module")
def both(ease: rec.Model, split: rec.Split) -> rec.Report:
    return rec.evaluate([ease, rec.Popularity().fit(split.train)], split, k=5, cutoffs=[10])


def test_means_are_those_of_the_evaluation_below(ease: rec.Model, split: rec.Split) -> None:
    report = rec.evaluate(ease, split, k=5)
    ranking = evaluate_indices(ease.recommender, split, k=5)
    for key, figure in ranking.means().items():
        assert report.means[key] == figure.value
    interval = report.intervals()["ndcg@5"]
    assert interval.low < report.means["ndcg@5"] < interval.high


def test_several_models_are_compared_in_pairs(both: rec.Report) -> None:
    text = str(both)
    assert re.search(r"popularity is 0\.\d+ NDCG@5 behind ease .*: more than chance\.", text)
    assert text.splitlines()[0].startswith("shop, leave-last, positives >= 4: ")
    assert both["popularity"].means["ndcg@5"] < both["ease"].means["ndcg@5"]
    with pytest.raises(rec.BadInput, match=re.escape("take report['ease'].means")):
        _ = both.means
    with pytest.raises(KeyError, match="none of ease, popularity"):
        both["mf"]


def test_a_dict_is_what_the_command_line_prints_and_json_takes_it(both: rec.Report, split: rec.Split) -> None:
    value = json.loads(json.dumps(json_ready(both.to_dict()), allow_nan=False))
    assert value["results"]["ease"]["ndcg@5"]["value"] == both["ease"].means["ndcg@5"]
    assert value["settings"]["ease"]["l2"] == 20
    assert value["policy"] == {"mask": "seen", "fallback": "popularity", "tie_seed": 0}
    assert value["split"]["split"] == "leave-last"
    assert split.labels is not None
    assert value["fingerprint"] == split.labels.dataset.fingerprint
    assert value["versions"]["recengine"] == rec.__version__


def test_a_frame_has_a_row_for_each_model_and_metric(both: rec.Report) -> None:
    table = both.to_pandas().set_index(["model", "metric"])
    assert table.loc[("ease", "ndcg@10"), "value"] == both["ease"].means["ndcg@10"]
    assert {"low", "high"} <= set(table.columns)


def test_a_notebook_shows_a_table_with_the_words_below_it(both: rec.Report) -> None:
    page = both._repr_html_()
    assert page.count("<tr>") == 3
    assert f"<td>{both['ease'].means['ndcg@5']:.4f} ±" in page
    assert "NDCG@5 behind ease" in page
    assert "&gt;= 4" in page


def test_html_of_names_is_escaped(split: rec.Split) -> None:
    made = rec.EASE().fit(split.train)
    report = rec.evaluate(made, split)
    made_of_data = report.record.settings
    object.__setattr__(made_of_data, "dataset", "<script>")
    assert "<script>" not in report._repr_html_()


def test_the_policy_of_a_model_is_that_of_its_evaluation(ease: rec.Model, split: rec.Split) -> None:
    as_published = rec.evaluate(ease, split, policy=rec.EvaluationPolicy(mask="positives"))
    assert as_published.to_dict()["policy"]["mask"] == "positives"  # type: ignore[index,call-overload]
    model = rec.EASE(l2=20).fit(split.train)
    model.policy = rec.EvaluationPolicy(mask="positives")
    assert rec.evaluate(model, split).means["ndcg@10"] == as_published.means["ndcg@10"]


def test_a_model_is_not_evaluated_on_other_data_or_another_split_of_its_own(
    ease: rec.Model, data: rec.Dataset, split: rec.Split
) -> None:
    with pytest.raises(rec.BadInput, match="some may be in the test of this split"):
        rec.evaluate(ease, rec.split(data, "random"))
    other = rec.split(rec.load("sample"), "leave-last")
    with pytest.raises(rec.BadInput, match="model 'ease' was fitted on other data than this split is of"):
        rec.evaluate(ease, other)
    with pytest.raises(rec.BadInput, match="models are nothing to evaluate"):
        rec.evaluate([], split)


def test_two_models_of_one_name_are_told_apart(ease: rec.Model, split: rec.Split) -> None:
    report = rec.evaluate([ease, rec.EASE(l2=500).fit(split.train)], split)
    assert report.models == ["ease", "ease 2"]
    assert report["ease 2"].means["auc"] != report["ease"].means["auc"]
