"""Session data in the public layouts of Yoochoose and trivago."""

from pathlib import Path

import pytest

from recengine.data.sources import load_dataset
from recengine.errors import BadInput

CLICKS = """1,2014-04-07T10:51:09.277Z,214536502,0
1,2014-04-07T10:54:09.868Z,214536500,S
1,2014-04-07T10:54:46.998Z,214536506,7
2,2014-04-07T13:56:37.614Z,214662742,0
2,2014-04-07T13:57:19.373Z,214536506,7
"""
BUYS = "2,2014-04-07T14:00:00.000Z,214662742,1046,1\n"
TRAIN = """user_id,session_id,timestamp,step,action_type,reference,platform,city,device,filters,impressions,prices
U1,aff3928535f48,1541037460,1,search for poi,Newtown,AU,"Sydney, Australia",mobile,,,
U1,aff3928535f48,1541037522,2,interaction item image,666856,AU,"Sydney, Australia",mobile,,,
U1,aff3928535f48,1541037542,3,clickout item,109038,AU,"Sydney, Australia",mobile,,666856|109038,95|66
U2,bff,1541037600,1,clickout item,666856,AU,"Sydney, Australia",mobile,,666856,95
"""


def test_yoochoose_clicks_and_purchases_become_implicit_ratings(tmp_path: Path) -> None:
    (tmp_path / "yoochoose-clicks.dat").write_text(CLICKS, encoding="utf-8")
    (tmp_path / "yoochoose-buys.dat").write_text(BUYS, encoding="utf-8")
    data = load_dataset(tmp_path)
    assert (len(data.ratings), data.n_users, data.n_items) == (5, 2, 4)
    assert data.cleaning.duplicates_replaced == 1  # the click that became a purchase
    bought = data.ratings.rating == 2.0
    assert data.item_ids[data.ratings.item_idx[bought]].tolist() == [214662742]
    assert data.ratings.timestamp.min() == 1396867869  # 2014-04-07 10:51:09 UTC
    genres = dict(zip(data.item_ids.tolist(), data.items["genres"], strict=True))
    assert genres == {214536500: "", 214536502: "", 214536506: "7", 214662742: ""}


def test_trivago_actions_on_items_become_implicit_ratings(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(TRAIN, encoding="utf-8")
    (tmp_path / "item_metadata.csv").write_text("item_id,properties\n109038,Pool|Sauna\n", encoding="utf-8")
    data = load_dataset(tmp_path)
    assert data.user_ids.tolist() == ["aff3928535f48", "bff"]
    assert data.item_ids.tolist() == [109038, 666856]
    assert sorted(data.ratings.rating.tolist()) == [1.0, 2.0, 2.0]
    assert (data.feedback, data.like_threshold) == ("implicit", 0.0)
    assert data.items["tags"].tolist()[0] == "Pool|Sauna"


def test_m6_a_purchase_outlasts_a_later_click_on_the_same_item(tmp_path: Path) -> None:
    (tmp_path / "yoochoose-clicks.dat").write_text(
        f"{CLICKS}2,2014-04-07T15:00:00.000Z,214662742,0\n", encoding="utf-8"
    )
    (tmp_path / "yoochoose-buys.dat").write_text(BUYS, encoding="utf-8")
    data = load_dataset(tmp_path)
    assert data.ratings.rating[data.ratings.item_idx == data.item_index([214662742])[0]].tolist() == [2.0]
    assert "2 repeated (user, item) ratings merged into the highest." in data.cleaning.lines()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("yoochoose-clicks.dat", ""),
        ("yoochoose-clicks.dat", "1,yesterday,214536502,0\n"),
        ("train.csv", TRAIN.splitlines()[0] + "\n"),
        ("train.csv", "\n".join(TRAIN.splitlines()[:2]) + "\n"),
    ],
)
def test_session_data_that_cannot_be_read_is_one_sentence(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(BadInput):
        load_dataset(tmp_path)
