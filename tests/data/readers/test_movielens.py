"""The seven MovieLens editions: each layout, and what makes a zip genuine."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from recengine.data.dataset import Dataset
from recengine.data.sources import SOURCES, fetch, is_present, load_dataset, load_upload
from recengine.errors import BadInput
from tests.data.conftest import CSV, Publish

DAT_1M = {
    "ml-1m/ratings.dat": "1::1193::5::978300760\n2::661::3::978302109\n",
    "ml-1m/movies.dat": "661::James and the Giant Peach (1996)::Animation|Children's|Musical\n"
    "1193::Misérables, Les (1995)::Drama|Musical\n",
    "ml-1m/users.dat": "1::F::1::10::48067\n2::M::56::16::70072\n",
}
DAT_10M = {
    "ml-10M100K/ratings.dat": "1::122::4.5::838985046\n2::185::0.5::838983525\n",
    "ml-10M100K/movies.dat": "122::Amélie: a :: b (2001)::Comedy|Romance\n185::Net, The (1995)::(no genres listed)\n",
    "ml-10M100K/tags.dat": "15::185::Odd :: tag::1215184630\n16::185::odd :: Tag::1\n",
}


def first_rows(data: Dataset, n: int = 2) -> list[tuple[int, int, float, int]]:
    r = data.ratings.select(np.arange(n))
    users, items = data.user_ids[r.user_idx].tolist(), data.item_ids[r.item_idx].tolist()
    return list(zip(users, items, r.rating.tolist(), r.timestamp.tolist(), strict=True))


def test_ml_1m_has_latin_1_titles_and_people_in_words(publish: Publish) -> None:
    publish("ml-1m", DAT_1M)
    data = load_dataset("ml-1m")
    assert first_rows(data) == [(1, 1193, 5.0, 978300760), (2, 661, 3.0, 978302109)]
    assert data.items["title"].tolist() == ["James and the Giant Peach", "Les Misérables"]
    assert data.items["genres"].tolist() == ["Animation|Children|Musical", "Drama|Musical"]
    assert data.users is not None
    assert data.users.values.tolist() == [[1, "F", "under 18", "K-12 student"], [2, "M", "56+", "self-employed"]]
    assert data.licence == SOURCES["ml-1m"].licence


def test_ml_10m_has_half_stars_utf_8_titles_and_tags(publish: Publish) -> None:
    publish("ml-10m", DAT_10M)
    data = load_dataset("ml-10m")
    assert first_rows(data) == [(1, 122, 4.5, 838985046), (2, 185, 0.5, 838983525)]
    assert data.items["title"].tolist() == ["Amélie: a :: b", "The Net"]
    assert data.items["genres"].tolist() == ["Comedy|Romance", ""]
    assert data.items["tags"].tolist() == ["", "odd :: tag"]
    assert data.users is None


@pytest.mark.parametrize("name", ["ml-latest-small", "ml-20m", "ml-25m", "ml-32m"])
def test_the_later_editions_are_csv(name: str, publish: Publish) -> None:
    content = publish(name, {f"{name}/{member}": text for member, text in CSV.items()})
    data = load_dataset(name)
    assert first_rows(data) == [(1, 2, 3.5, 1112486027), (2, 29, 4.0, 1112484676)]
    assert data.items["title"].tolist() == ["Jumanji", "The City of Lost Children"]
    assert data.items["imdb_id"].tolist() == [113497, 112682]
    assert data.items["tmdb_id"].fillna(-1).tolist() == [8844, -1]
    assert data.items["tags"].tolist() == ["", "dark"]
    assert load_upload("whatever.zip", content).name == name


def test_a_pinned_edition_that_differs_is_corrupt_and_says_how_to_mend_it(publish: Publish, tmp_path: Path) -> None:
    content = publish("ml-1m", DAT_1M)
    (tmp_path / "ml-1m.zip").write_bytes(content + b"x")
    for load in (load_dataset, fetch):
        with pytest.raises(BadInput, match=r"is not the published ml-1m \(its size is .*\); fetch it again"):
            load("ml-1m")
    (tmp_path / "ml-1m.zip").write_bytes(content[:-1] + b"x")
    with pytest.raises(BadInput, match="wrong sha256"):
        load_dataset("ml-1m")
    with pytest.raises(BadInput, match="but is not the zip that was published"):
        load_upload("ml-1m.zip", content[:-1] + bytes([content[-1] ^ 1]))


def test_a_rolling_edition_that_differs_is_a_new_one_to_be_confirmed_by_its_path(
    publish: Publish, tmp_path: Path
) -> None:
    publish("ml-latest-small", CSV)
    newer = zipfile.ZipFile(tmp_path / "ml-latest-small.zip", "a")
    newer.writestr("README.txt", "2027")
    newer.close()
    with pytest.raises(BadInput, match=r"may be a new edition.*copy it under another name"):
        load_dataset("ml-latest-small")
    (tmp_path / "newer.zip").write_bytes((tmp_path / "ml-latest-small.zip").read_bytes())
    assert len(load_dataset(tmp_path / "newer.zip").ratings) == 2
    assert len(load_dataset("newer").ratings) == 2  # by its stem, as it lies in the mirror


@pytest.mark.real
def test_ml_100k_is_complete(mirror: Path) -> None:
    data = load_dataset("ml-100k")
    assert (len(data.ratings), data.n_users, data.n_items) == (100_000, 943, 1_682)
    assert np.bincount(data.ratings.rating.astype(int)).tolist() == [0, 6_110, 11_370, 27_145, 34_174, 21_201]
    assert first_rows(data) == [(196, 242, 3.0, 881250949), (186, 302, 3.0, 891717742)]
    films = data.items.set_index("item_id")
    assert list(films.loc[1, ["title", "year", "genres"]]) == ["Toy Story", 1995, "Animation|Children|Comedy"]
    assert films.loc[267, "genres"] == ""
    assert films.loc[1633, "title"] == "Á köldum klaka"
    assert data.users is not None
    assert data.users.iloc[0].tolist() == [1, 24, "M", "technician"]
    assert data.cleaning.lines() == ["100,000 ratings read, 100,000 kept."]


@pytest.mark.real
def test_the_published_splits_of_ml_100k_are_rows_of_its_ratings(mirror: Path) -> None:
    data = load_dataset("ml-100k")
    assert sorted(data.predefined) == ["u1", "u2", "u3", "u4", "u5", "ua", "ub"]
    for name, (train, test) in data.predefined.items():
        assert (len(train), len(test)) == ((80_000, 20_000) if name[1].isdigit() else (90_570, 9_430))
        assert len(np.union1d(train, test)) == 100_000
    folds = [data.predefined[f"u{fold}"][1] for fold in "12345"]
    assert len(np.unique(np.concatenate(folds))) == 100_000  # the five test sets share nothing
    assert (np.bincount(data.ratings.user_idx[data.predefined["ua"][1]]) == 10).all()  # ten of each user
    smaller = data.reduced(min_user=30, positive=0)
    train, test = smaller.predefined["ub"]
    assert len(np.union1d(train, test)) == len(smaller.ratings) < 100_000


@pytest.mark.real
def test_ml_latest_small_is_complete(mirror: Path) -> None:
    data = load_dataset("ml-latest-small")
    assert (len(data.ratings), data.n_users, data.n_items) == (100_836, 610, 9_742)
    assert data.rating_range == (0.5, 5.0)
    assert (data.ratings.item_counts > 0).sum() == 9_724
    assert data.items["imdb_id"].notna().all()
    assert data.items["year"].isna().sum() == 12  # titles that name none
    assert data.items.set_index("item_id").loc[1, "tags"] == "pixar|fun"


@pytest.mark.real
def test_the_other_zips_of_a_mirror_load_by_their_stem(mirror: Path) -> None:
    data = load_dataset("ml-1m-ordered")
    assert (len(data.ratings), data.n_users, data.n_items) == (1_000_209, 6_040, 3_883)
    assert np.bincount(data.ratings.rating.astype(int))[1:].tolist() == [
        56_174,
        107_557,
        261_197,
        348_971,
        226_310,
    ]
    assert data.users is not None
    assert data.users.iloc[0].tolist() == [1, "F", "under 18", "K-12 student"]
    older = load_dataset("ml-latest-small-2016")
    assert (len(older.ratings), older.n_users, older.n_items) == (100_004, 671, 9_125)


@pytest.mark.real
def test_a_real_zip_is_known_whatever_its_name(mirror: Path, tmp_path: Path) -> None:
    content = (mirror / "ml-100k.zip").read_bytes()
    assert load_upload("films.zip", content).name == "ml-100k"
    changed = bytearray(content)
    changed[content.index(b"ml-100k/u.data") + 2000] ^= 1
    with pytest.raises(BadInput, match=r"films\.zip is laid out like MovieLens 100K.*checksum"):
        load_upload("films.zip", bytes(changed))


def test_every_registered_data_set_is_described() -> None:
    assert next(iter(SOURCES)) == "sample"
    for name, source in SOURCES.items():
        assert source.name == name
        assert source.title
        assert source.licence
        assert bool(source.citation) == (name != "sample")
        assert source.n_ratings > 0
        assert (len(source.sha256), source.size > 0) == ((64, True) if source.addresses else (0, False))
    unverified = {name for name, source in SOURCES.items() if "unverified here" in source.description}
    assert unverified == {"ml-1m", "ml-10m", "ml-20m", "ml-25m", "ml-32m"}
    with pytest.raises(BadInput, match="did you mean 'ml-100k'"):
        is_present("ml-100")
