"""A visitor's own data on every page: recognised by content, liked from where they choose, in words that fit them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui.words import Words, words_of
from recengine.data.sources import load_dataset, load_upload
from tests.app.conftest import Open, Worker, epoch, links, markup, press, settle
from tests.app.test_data import ratings_csv, upload, use

EVENTS = "user,product,event,time\n" + "".join(
    f"Kundin_{user:02}_Ünal,SKU {item} Käse & Brot,{'buy' if item % 2 else 'view'},2024-01-{1 + item:02}\n"
    for user in range(12)
    for item in range(user % 3, 9)
)


@pytest.mark.parametrize("name", ["films", "sample", "ml-100k"])
@pytest.mark.usefixtures("fresh_home")
def test_c01_a_folder_is_what_its_path_names_whatever_its_name(
    open_app: Open, worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "ratings.csv").write_text(ratings_csv())
    monkeypatch.setenv("RECENGINE_DATASET", str(folder))
    app = open_app("compare.py", models="popularity,ease")
    press(app, "Compare")
    (job,) = worker.jobs.all()
    assert job.command[job.command.index("--dataset") + 1] == str(folder)
    assert job.task.fingerprint == load_dataset(folder).fingerprint
    assert f"--dataset {folder}" in app.code[0].value


def test_m49_what_counts_as_liked_is_seen_and_changed_for_all_pages(open_app: Open, worker: Worker) -> None:
    app = upload(open_app("data.py"), "mine.csv", ratings_csv().encode())
    liked = sum(line.split(",")[2] == "5" for line in ratings_csv().splitlines()[1:])
    assert 0 < liked < 240
    assert any(f"{liked} of 240 ratings" in text.value for text in app.caption)
    use(app)
    (control,) = [field for field in app.number_input if field.label == "Liked from"]
    control.set_value(2.0)
    settle(app)
    assert any("240 of 240 ratings" in text.value for text in app.caption)
    app.switch_page("compare.py").run()
    press(app, "Compare")
    command = worker.jobs.all()[0].command
    assert command[command.index("--positive") + 1] == "2.0"


def test_a_choice_is_a_control_and_a_problem_stands_next_to_it(open_app: Open) -> None:
    def folded(app: AppTest) -> bool:
        (part,) = (part for part in app.expander if part.label == "How the file is written")
        assert {"First line", "Separator", "Layout"} == {box.label for box in part.selectbox}
        return not part.proto.expanded

    app = upload(open_app("data.py"), "headed.csv", EVENTS.replace(",", ";").encode())
    assert folded(app)
    assert markup(app).index("Columns of headed.csv") < markup(app).index("Cells are separated by a semicolon")
    app = upload(open_app("data.py"), "bare.csv", b"1,1,5\n1,2,3\n2,1,4\n2,2,1\n")
    assert not folded(app)
    assert app.button(key="use upload").disabled
    assert "First line" in markup(app)
    header = next(box for box in app.selectbox if box.label == "First line")
    header.set_value("none")
    settle(app)
    assert not folded(app)
    assert "4 ratings by 2 users of 2 items" in markup(app)
    assert not app.button(key="use upload").disabled


def test_events_have_a_weight_each(open_app: Open) -> None:
    app = upload(open_app("data.py"), "events.csv", EVENTS.encode())
    weights = {field.label: field for field in app.number_input if field.label in ("buy", "view")}
    assert {label: field.value for label, field in weights.items()} == {"buy": 1.0, "view": 1.0}
    weights["buy"].set_value(5.0)
    settle(app)
    use(app)
    assert "From 1 to 5" in markup(app)


def test_m57_what_is_no_film_is_not_called_one(open_app: Open) -> None:
    app = upload(open_app("data.py"), "events.csv", EVENTS.encode())
    use(app)
    for page in ("viewers.py", "film.py", "home.py", "live.py", "compare.py", "train.py", "data.py"):
        app.switch_page(page)
        settle(app)
        text = markup(app).partition("Data sets")[0]
        text = re.sub(r'film-|class="film|data-testid="film', "", text)
        labels = [box.label for box in (*app.selectbox, *app.text_input, *app.toggle, *app.number_input)]
        for word in ("film", "viewer", "★", "poster of"):
            assert word not in text.lower(), (page, word)
            assert not any(word in label.lower() for label in labels), (page, labels)


def test_curves_of_what_is_no_film_speak_of_items(open_app: Open, worker: Worker) -> None:
    app = upload(open_app("data.py"), "events.csv", EVENTS.encode())
    use(app)
    app.switch_page("train.py").run()
    worker.does(*(epoch(number) for number in range(3)))
    press(app, "Train")
    worker.after(3)
    app.run()
    assert "on validation, all items ranked" in markup(app)


def test_an_item_of_a_shop_has_a_page_of_its_own_without_stars(open_app: Open) -> None:
    app = upload(open_app("data.py"), "events.csv", EVENTS.encode())
    use(app)
    app.switch_page("film.py")
    settle(app)
    app.query_params["item"] = "SKU 1 Käse & Brot"
    settle(app)
    press(app, "Watchlist")
    text = re.sub(r'film-|class="film|data-testid="film', "", markup(app))
    assert "You and this item" in text
    for word in ("film", "viewer", "★", "poster of"):
        assert word not in text.lower(), word


def test_m58_ids_are_shown_as_they_are(open_app: Open) -> None:
    app = upload(open_app("data.py"), "events.csv", EVENTS.encode())
    use(app)
    app.switch_page("viewers.py")
    settle(app)
    assert re.search(r"<b class=long>Kundin_\d\d_Ünal</b>", markup(app))
    picked = next(label for label in links(app) if "SKU" in label)
    assert "Käse & Brot" in re.sub(r"[\\\u2060]", "", picked)


def test_words_follow_the_data() -> None:
    films = words_of(load_dataset("sample"))
    shop = words_of(load_upload("events.csv", EVENTS.encode()))
    assert films == Words(is_film=True, has_stars=True, is_implicit=False)
    assert shop == Words(is_film=False, has_stars=False, is_implicit=True)
    assert films.say("A film that viewers love") == "A film that viewers love"
    assert shop.say("A film that viewers love. Films, a viewer") == "An item that users love. Items, a user"
    assert (films.at_least(4), shop.at_least(0), shop.at_least(2)) == ("4 ★ or more", "every event", "2 or more")


@pytest.mark.parametrize("text", ["-1", "1e400", "nan", "9" * 5_000, "²", "6"])
def test_an_address_that_asks_for_no_rating_of_the_scale_counts_for_nothing(open_app: Open, text: str) -> None:
    app = open_app("data.py", liked=text)
    assert not app.exception
    (liked,) = [box for box in app.number_input if box.label == "Liked from"]
    assert liked.value == 4.0
