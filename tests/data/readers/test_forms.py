"""What the columns of a table are and mean: stated, inferred with a sentence, or refused where two readings exist."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from recengine.data.dataset import Dataset
from recengine.data.sources import from_frame, load_dataset
from tests.data.readers.forms import inferred, refusal, rows, up
from tests.support.archives import written, zipped


def test_the_documented_layout_leaves_only_the_scale_to_infer() -> None:
    data = up("userId,movieId,rating,timestamp\n1,10,4,964982703\n2,20,1,964982704\n")
    assert inferred(data) == {"scale": "Ratings run from 1 to 4; 3.25 or more counts as liked."}
    stated = up("userId,movieId,rating,timestamp\n1,10,4,964982703\n2,20,1,964982704\n", scale="1,5")
    assert (inferred(stated), stated.rating_range, stated.like_threshold) == ({}, (1.0, 5.0), 4.0)


@pytest.mark.parametrize("content", ["user,item\n1,1\n1,2\n2,1\n", "userId;movieId\n1;1\n1;2\n2;1\n"])
def test_m3_pairs_without_a_rating_are_events(content: str) -> None:
    data = up(content)
    assert rows(data) == [(1, 1, 1.0), (1, 2, 1.0), (2, 1, 1.0)]
    assert (data.feedback, data.like_threshold) == ("implicit", 0.0)
    assert "every row is an event" in inferred(data)["feedback"]


KNOWN = {
    "shop": ("customer,article,quantity\n101,3,1\n102,4,2\n103,4,1\n", ("customer", "article", "quantity", None)),
    "amazon": ("reviewerID,asin,overall,unixReviewTime\n1,2,5,3\n2,3,4,4\n",
               ("reviewerID", "asin", "overall", "unixReviewTime")),
    "books": ('"User-ID";"ISBN";"Book-Rating"\n"1";"034545104X";"5"\n"2";"0155061224";"7"\n',
              ("User-ID", "ISBN", "Book-Rating", None)),
    "recbole": ("user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t2\t3\t10.0\n1\t3\t4\t1.2e9\n",
                ("user_id:token", "item_id:token", "rating:float", "timestamp:float")),
    "music": ("user\tartist\tplays\na\tb\t29\na\tc\t3\n", ("user", "artist", "plays", None)),
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_m4_m8_the_columns_of_well_known_tables_are_recognised_and_named(name: str) -> None:
    content, columns = KNOWN[name]
    data = up(content)
    assert (data.reading.user, data.reading.item, data.reading.rating, data.reading.time) == columns
    if name != "recbole":
        assert all(f"{column!r}" in inferred(data)["columns"] for column in columns if column)
    assert data.feedback == ("implicit" if name in ("shop", "music") else "explicit")


@pytest.mark.parametrize(
    "content", ["kunde,ware,menge\n101,3,1\n102,4,2\n", "a,b\n1,2\n3,4\n", "who,what,how much\nx,y,3\nx,z,4\n"]
)
def test_m4_unknown_columns_are_not_taken_for_items(content: str) -> None:
    message = refusal(lambda: up(content))
    assert "may be read in several ways" in message
    assert "state columns, such as user=NAME,item=NAME, or layout wide" in message
    names = content.partition("\n")[0].split(",")
    stated = up(content, columns=",".join(f"{r}={n}" for r, n in zip(("user", "item", "rating"), names, strict=False)))
    assert len(stated.ratings) == 2


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("user,item,movie,rating", "'item' and 'movie' of x.csv may both be the item"),
        ("userId,movieId,rating,stars", "'rating' and 'stars' of x.csv may both be the rating"),
        ("user,item,time,timestamp,event_time", ""),
        ("customer,client,item,x", "'customer' and 'client' of x.csv may both be the user"),
    ],
)
def test_two_columns_of_one_meaning_are_refused(header: str, words: str) -> None:
    line = ",".join("1" for _ in header.split(","))
    if words:
        assert words in refusal(lambda: up(f"{header}\n{line}\n"))
    else:  # a surer name wins, and the rest is noted
        data = up(f"{header}\n{line}\n")
        assert data.reading.time == "timestamp"
        assert "Columns not used: time, event_time." in data.cleaning.notes


def test_a_stated_column_must_be_there_once() -> None:
    assert "columns 'user=usr' is no column of x.csv (did you mean 'user'?)" in refusal(
        lambda: up("user,item\na,b\n", columns="user=usr")
    )
    assert "is several columns of x.csv" in refusal(lambda: up("who,who,item\na,b,c\n", columns="user=who"))


@pytest.mark.parametrize(
    "content", ["1,3,5\n2,4,4\n1,4,1\n", "a\t2009-05-04T23:08:57Z\tart\n", "196\t242\t3\t881250949\n", "x;y;2,5\n"]
)
def test_m5_c8_a_first_line_that_holds_data_is_refused(content: str) -> None:
    message = refusal(lambda: up(content))
    assert "header is missing: the first line of x.csv holds data" in message
    assert "state header none" in message


def test_m5_c8_a_table_without_a_header_is_read_when_that_is_stated() -> None:
    data = up("1,3,5\n2,4,4\n1,4,1\n", header="none")
    assert rows(data) == [(1, 3, 5.0), (2, 4, 4.0), (1, 4, 1.0)]
    assert "user is column 1, item is column 2, rating is column 3" in inferred(data)["columns"]
    udata = up("196\t242\t3\t881250949\n186\t302\t2\t891717742\n", header="none")
    assert udata.ratings.timestamp.tolist() == [881250949, 891717742]
    dat = up("1::1193::5::978300760\n1::661::3::978302109\n", "ratings.dat", header="none")
    assert rows(dat) == [(1, 1193, 5.0), (1, 661, 3.0)]
    music = "u 1\t2009-05-04T23:08:57Z\tart1\tDeep Dish\nu 1\t2009-05-04T13:54:10Z\tart2\tDeep, Dish\n"
    assert "state columns, such as user=1,item=2" in refusal(lambda: up(music, header="none"))
    plays = up(music, columns="user=1,time=2,item=3")
    assert rows(plays) == [("u 1", "art1", 1.0), ("u 1", "art2", 1.0)]
    assert plays.ratings.timestamp.tolist() == [1241478537, 1241445250]


repeats = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(-4, 9)), min_size=1, max_size=25)


@settings(max_examples=80, deadline=None)
@given(events=repeats, aggregate=st.sampled_from(["latest", "max", "sum", "count"]), shuffled=st.randoms())
def test_m6_repeated_pairs_count_as_stated(
    events: list[tuple[int, int, int]], aggregate: str, shuffled: object
) -> None:
    times = list(range(len(events)))
    shuffled.shuffle(times)  # type: ignore[attr-defined]
    lines = [f"{u},{i},{value},{time}" for (u, i, value), time in zip(events, times, strict=True)]
    data = up("\n".join(["user,item,weight,time", *lines]), aggregate=aggregate)
    by_pair: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for (user, item, value), time in zip(events, times, strict=True):
        by_pair.setdefault((user, item), []).append((time, value))
    makes = {"latest": lambda known: max(known)[1], "max": lambda known: max(v for _, v in known),
             "sum": lambda known: sum(v for _, v in known), "count": len}  # fmt: skip
    assert {(u, i): value for u, i, value in rows(data)} == {
        pair: makes[aggregate](known) for pair, known in by_pair.items()
    }
    expected_times = {pair: max(known)[0] for pair, known in by_pair.items()}
    users, items = data.user_ids[data.ratings.user_idx], data.item_ids[data.ratings.item_idx]
    pairs = zip(users.tolist(), items.tolist(), strict=True)
    assert dict(zip(pairs, data.ratings.timestamp.tolist(), strict=True)) == expected_times


def test_m6_what_repeats_became_is_told() -> None:
    content = "user,item,rating,timestamp\nA,x,5,1\nA,x,1,2\nA,y,3,2\n"
    assert "count with their latest rating" in inferred(up(content))["aggregate"]
    highest = up(content, aggregate="max")
    assert rows(highest) == [("A", "x", 5.0), ("A", "y", 3.0)]
    assert "1 repeated (user, item) rating merged into the highest." in highest.cleaning.lines()
    assert "is for events" in refusal(lambda: up(content, aggregate="sum", scale="1,5"))
    shop = up("customer,product,event\nA,x,view\nA,x,buy\nA,y,view\n")
    assert rows(shop) == [("A", "x", 2.0), ("A", "y", 1.0)]
    assert "are added up" in inferred(shop)["aggregate"]


EVENTS = "user_id,product_id,event_type,event_time\nu 1,p 1,view,2024-01-01 10:00:00 UTC\nu 1,p 1,buy,2024-01-02\n"


def test_m7_events_have_weights() -> None:
    plain = up(EVENTS)
    assert inferred(plain)["weights"] == "Every event (view, buy) counts as 1; state `weights` to tell them apart."
    assert rows(up(EVENTS, weights="view=1,buy=5", aggregate="max")) == [("u 1", "p 1", 5.0)]
    assert rows(up(EVENTS, weights="view=0.5,buy=5")) == [("u 1", "p 1", 5.5)]
    message = refusal(lambda: up(EVENTS, weights="view=1"))
    assert "line 3 of x.csv has the event 'buy', which has no weight" in message
    assert "add it to weights" in message
    many = "user,item,action\n" + "".join(f"a,{n},kind {n}\n" for n in range(60))
    assert "has 60 different ones" in refusal(lambda: up(many))


def test_m7_counts_scores_and_thumbs_are_ratings_of_their_kind() -> None:
    plays = "userId,itemId,rating\n1,1,29\n1,2,3\n"
    message = refusal(lambda: up(plays))
    assert "line 2 of x.csv has the rating '29'; expected a number from 0 to 10" in message
    assert "state scale, such as 0,100, or feedback implicit" in message
    counted = up(plays, feedback="implicit")
    assert (counted.feedback, counted.like_threshold, len(counted.positives(counted.like_threshold))) == (
        "implicit", 0.0, 2)  # fmt: skip
    assert up(plays, scale="0,100").like_threshold == 75
    thumbs = up("userId,itemId,rating\n1,1,1\n1,2,-1\n2,1,1\n")
    assert (thumbs.rating_range, thumbs.feedback) == ((-1.0, 1.0), "explicit")
    assert len(thumbs.positives(thumbs.like_threshold)) == 2
    binary = up("userId,itemId,rating\n1,1,1\n1,2,0\n2,1,0\n2,3,0\n")
    assert (binary.rating_range, len(binary.positives(binary.like_threshold))) == ((0.0, 1.0), 1)
    ones = up("userId,itemId,rating\n1,1,1\n1,2,1\n")
    assert (ones.feedback, ones.like_threshold) == ("implicit", 0.0)


@pytest.mark.parametrize(
    "content",
    ["user,item,rating\n1,1,1\n1,2,0\n2,1,0\n2,3,0\n", "user,item,rating\n1,1,-1\n1,2,1\n2,1,1\n",
     "user,item,rating\n1,1,2\n1,2,3\n2,1,1\n", "user,item,rating\n1,1,4\n1,2,5\n2,1,5\n"],
)  # fmt: skip
def test_c11_one_star_is_low_on_every_scale(content: str) -> None:
    data = up(content)
    assert data.in_scale(1.0) < data.like_threshold <= data.in_scale(5.0)


def test_m10_a_blank_rating_is_none_and_many_zeros_need_a_scale() -> None:
    data = up("userId,movieId,rating\n1,2,\n1,3,4\n2,2,5\n2,3,  \n")
    assert rows(data) == [(1, 3, 4.0), (2, 2, 5.0)]
    assert "2 rows without a rating dropped." in data.cleaning.lines()
    zeros = "userId,movieId,rating\n1,2,0\n1,3,4\n2,2,0\n2,3,5\n"
    message = refusal(lambda: up(zeros))
    assert "scale is not clear: 50% of the ratings are 0" in message
    assert len(up(zeros, scale="0,5").ratings) == 4
    given = up(zeros, scale="1,5")
    assert (len(given.ratings), given.cleaning.rows_without_rating) == (2, 2)
    anime = "user_id,anime_id,rating\n1,2,-1\n1,3,9\n2,3,10\n"
    assert "has the rating '-1'" in refusal(lambda: up(anime))
    assert len(up(anime, scale="1,10").ratings) == 2
    books = up('"User-ID";"ISBN";"Book-Rating"\n"1";"034";"0"\n"1";"035";"5"\n"1";"036";"8"\n')
    assert (len(books.ratings), books.rating_range) == (2, (1.0, 10.0))
    assert "0 stands for none" in inferred(books)["scale"]


@settings(max_examples=60, deadline=None)
@given(
    stars=st.lists(st.integers(0, 8), min_size=2, max_size=20),
    factor=st.sampled_from([0.25, 1.0, 3.0, 16.0]),
    shift=st.integers(-40, 40),
)
def test_ratings_mean_the_same_after_a_change_of_scale_that_is_stated(
    stars: list[int], factor: float, shift: int
) -> None:
    def loaded(a: float, b: float) -> Dataset:
        lines = "".join(f"{row % 3},{row},{a * value + b!r}\n" for row, value in enumerate(stars))
        return up(f"user,item,rating\n{lines}", scale=f"{b!r},{8 * a + b!r}")

    assume(not (shift >= 0 and 4 < factor * 8 + shift <= 5))  # stars have their customary threshold
    one, other = loaded(1.0, 0.0), loaded(factor, float(shift))
    liked = [data.ratings.at_least(data.like_threshold).item_idx.tolist() for data in (one, other)]
    assert liked[0] == liked[1]
    shares = [(data.in_scale(3.0) - data.rating_range[0]) / np.ptp(data.rating_range) for data in (one, other)]
    assert shares[0] == pytest.approx(shares[1])


def test_c21_the_line_that_names_the_separator_is_passed_over() -> None:
    for content in ("sep=;\nuserId;movieId;rating\n1;1;5\n2;1;4\n", '"sep=|"\r\nuser|item|rating\r\n1|1|5\r\n2|1|4\r\n',
                    "sep=\t\nuser\titem\trating\n1\t1\t5\n2\t1\t4\n"):  # fmt: skip
        assert rows(up(content)) == [(1, 1, 5.0), (2, 1, 4.0)]
    assert "as the first line says" in inferred(up("sep=;\nuser;item\n1;1\n"))["separator"]


def test_c22_ratings_merged_with_films_have_titles_and_genres() -> None:
    content = "userId,movieId,rating,timestamp,title,genres\n1,1,5,1,Toy Story (1995),Animation|Comedy\n1,2,4,2,Heat,\n"
    frame = pd.DataFrame({"userId": [1, 1], "movieId": [1, 2], "rating": [5, 4], "timestamp": [1, 2],
                          "title": ["Toy Story (1995)", "Heat"], "genres": ["Animation|Comedy", None]})  # fmt: skip
    merged = "movieId,title,year,userId,rating\n1,Toy Story,1995,1,5\n2,Heat,,1,4\n1,Toy Story,1995,2,3\n"
    for data in (up(content), from_frame(frame), up(merged)):
        assert data.items["title"].tolist() == ["Toy Story", "Heat"]
        assert data.items["year"].fillna(0).tolist() == [1995, 0]
    assert up(content).items["genres"].tolist() == ["Animation|Comedy", ""]


def test_titles_of_reviews_are_not_titles_of_items() -> None:
    lines = [("5", "Great", "B1", "a"), ("3", "Bad", "B1", "b"), ("4", "So so", "B2", "a")]
    names = ["rating", "title", "asin", "user_id"]
    content = "\n".join(",".join(cells) for cells in [names, *lines])
    frame = pd.DataFrame(lines, columns=names).astype({"rating": float})
    for data in (up(content), from_frame(frame)):
        assert data.items["title"].tolist() == ["B1", "B2"]


@pytest.mark.parametrize("value", ["4", "0.5", "true", "-3"])
def test_a_column_of_numbers_that_may_be_ratings_is_not_passed_over(value: str) -> None:
    content = f"user,item,liking\na,x,{value}\nb,y,{value}\n"
    message = refusal(lambda: up(content))
    assert "has no column of ratings, but 'liking', which may be one" in message
    assert "state it in columns, or feedback implicit" in message
    assert len(up(content, feedback="implicit").ratings) == len(up(content, columns="user=user,item=item").ratings) == 2
    if value == "4":
        assert up(content, columns="rating=liking").ratings.rating.tolist() == [4.0, 4.0]
    frame = pd.DataFrame({"user": ["a"], "item": ["x"], "liking": [float(value) if value != "true" else True]})
    assert "'liking', which may be one" in refusal(lambda: from_frame(frame))
    assert len(from_frame(frame.assign(liking="fine")).ratings) == 1


def test_c27_a_folder_with_other_capitals_is_read(tmp_path: object) -> None:
    folder = tmp_path
    written(folder, "userId,movieId,rating\n1,1,5\n1,2,4\n", "Ratings.csv")  # type: ignore[arg-type]
    written(folder, "movieId,title,genres\n1,Alpha (2001),Drama\n", "MOVIES.CSV")  # type: ignore[arg-type]
    data = load_dataset(folder)  # type: ignore[arg-type]
    assert data.items["title"].tolist() == ["Alpha", "Item 2"]


def test_c20_a_film_without_a_title_is_called_by_its_id() -> None:
    files: dict[str, str | bytes] = {
        "ratings.csv": "userId,movieId,rating\n1,1,5\n1,2,4\n2,3,5\n",
        "movies.csv": "movieId,title,genres\n1,,Drama\n2,  ,Comedy\n3,(1999),Drama\n",
    }
    assert up(zipped(files), "a.zip").items["title"].tolist() == ["Item 1", "Item 2", "(1999)"]


@pytest.mark.parametrize(
    ("genres", "expected"),
    [
        ('"Action, Comedy"', "Action|Comedy"),
        ("\"[{'id': 18, 'name': 'Drama'}, {'id': 10752, 'name': 'War'}]\"", "Drama|War"),
        ('"[""Drama"", ""War""]"', "Drama|War"),
        ("\"['Film-Noir']\"", "Film-Noir"),
        ("Action|Comedy", "Action|Comedy"),
        ("[]", ""),
    ],
)
def test_c29_lists_of_genres_are_taken_apart(genres: str, expected: str) -> None:
    files: dict[str, str | bytes] = {
        "ratings.csv": "userId,movieId,rating\n1,1,5\n",
        "movies.csv": f"movieId,title,genres\n1,Alpha (1999),{genres}\n",
    }
    assert up(zipped(files), "a.zip").items["genres"].tolist() == [expected]


ALL_KINDS = [*(content for content, _ in KNOWN.values()), EVENTS, "1,3,5\n2,4,4\n", "user,10,20\n1,-1,4\n2,3,\n",
             "userId,movieId,rating\n1,2,0\n1,3,1\n", "user,item\na,b\n", "sep=;\nuser;item;rating\na;b;3\na;b;4\n",
             "user,item,rating,time\na,b,3,20240531\na,c,4,20240601\n"]  # fmt: skip


@pytest.mark.parametrize("content", ALL_KINDS)
def test_read_again_as_it_was_understood_nothing_is_inferred_and_the_data_is_equal(content: str) -> None:
    stated = {"header": "none"} if content.startswith("1,3,5") else {}
    data = up(content, **stated)
    again = up(content, **data.reading.texts())
    assert again.inferences == ()
    assert (again.fingerprint, again.reading) == (data.fingerprint, data.reading)
    assert (again.like_threshold, again.feedback) == (data.like_threshold, data.feedback)
