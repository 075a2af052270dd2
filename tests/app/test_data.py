"""Data: the numbers, the data sets by name, and a visitor's own data, which no one else may see."""

import io
import re
import zipfile

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from recengine.data.dataset import Dataset
from recengine.data.sources import SOURCES, is_present, load_dataset
from tests.app.conftest import Open, cards, links, markup, settle

PAGE = "data.py"
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](http://192.0.2.9/a.png)",
    "[click](http://192.0.2.9/)",
    "**bold** _it_ `code` $x^2$",
    "\u202egnp.exe",
    "A" * 10_000,
    ":red[hot] :material/delete: :smile:",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "=HYPERLINK(0)",
    "千と千尋の神隠し",
]


def ratings_csv(n_users: int = 30, n_items: int = 12) -> str:
    """Return ratings of a small circle whose halves like different halves of the films."""
    rng = np.random.default_rng(3)
    rows = [
        f"{user},{item},{5 if (user + item) % 2 else 2},{1000 * user + item}"
        for user in range(1, n_users + 1)
        for item in rng.permutation(n_items)[:8] + 1
    ]
    return "\n".join(["userId,movieId,rating,timestamp", *rows])


def hostile_zip() -> bytes:
    """Return a data set whose titles and genres try everything."""
    films = "\n".join(
        f'{number},"{title.replace(chr(34), chr(34) * 2)} (1999)","<b>x</b>|![g](http://192.0.2.9/g.png)|Drama"'
        for number, title in enumerate(HOSTILE, start=1)
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("ratings.csv", ratings_csv(n_items=len(HOSTILE)))
        file.writestr("movies.csv", "movieId,title,genres\n" + films)
    return packed.getvalue()


def upload(app: AppTest, name: str, content: bytes) -> AppTest:
    app.file_uploader[0].upload(name, content)
    return settle(app)


def use(app: AppTest) -> str:
    """Use the upload that is previewed; return its name in the address."""
    app.button(key="use upload").click()
    settle(app)
    return app.selectbox(key="data").value


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset("sample")


def test_counts_and_four_distributions(open_app: Open, sample: Dataset) -> None:
    app = open_app(PAGE)
    counts = {metric.label: metric.value for metric in app.metric}
    assert counts["Ratings"] == f"{len(sample.ratings):,}"
    assert counts["Viewers"] == f"{sample.n_users:,}"
    assert counts["Films"] == f"{sample.n_items:,}"
    share = len(sample.ratings) / sample.n_users / sample.n_items
    assert counts["Density"] == f"{share:.2%}"
    assert len(app.get("plotly_chart")) == 4
    assert "the viewers are simulated" in markup(app)
    assert sample.cleaning.lines()[0] in markup(app)


def test_every_data_set_is_listed_with_its_terms_and_what_can_be_done(open_app: Open) -> None:
    app = open_app(PAGE)
    page = markup(app)
    buttons = {button.key: button for button in app.button}
    for info in SOURCES.values():
        assert f"<code>{info.name}</code>" in page
        keys = {key for key in buttons if key in (f"use_{info.name}", f"fetch_{info.name}")}
        assert keys == {f"{'use' if is_present(info.name) else 'fetch'}_{info.name}"}
    assert buttons["use_sample"].disabled
    assert "Harper" in page


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("empty.csv", b"", "empty"),
        ("ragged.csv", b"userId,movieId,rating\n1,2,3\n1,2\n", "line 3"),
        ("words.csv", b"userId,movieId,rating\n1,2,good\n", "good"),
        ("nan.csv", b"userId,movieId,rating\n1,2,nan\n", "nan"),
        ("not.zip", b"PK\x03\x04 but no more", "zip"),
        ("**bold**.csv", b"\x00\x01\x02", "csv"),
    ],
)
def test_bad_upload_is_one_sentence_and_an_example(open_app: Open, name: str, content: bytes, named: str) -> None:
    app = upload(open_app(PAGE), name, content)
    messages = [error.value for error in app.error] + re.findall('class="field-error" role="alert">(.*?)<', markup(app))
    assert len(messages) == 1
    message = messages[0]
    assert named in message.lower()
    assert "Traceback" not in message
    assert "**bold**" not in message
    assert not app.error or app.get("download_button")
    assert not any(button.key == "use upload" and not button.disabled for button in app.button)
    assert not app.success


def test_good_upload_is_reported_and_used_from_then_on(open_app: Open) -> None:
    app = upload(open_app(PAGE), "mine.csv", ratings_csv().encode())
    assert "240 ratings by 30 users of 12 items" in markup(app)
    assert any("240 ratings read" in caption.value for caption in app.caption)
    use(app)
    assert "mine\\.csv is in use: 240 ratings by 30 users of 12 items" in app.success[0].value
    assert app.selectbox(key="data").value.startswith("upload-")
    assert next(metric.value for metric in app.metric if metric.label == "Users") == "30"
    app.switch_page("viewers.py")
    settle(app)
    assert cards(app, "top")
    assert "Taste · mine.csv · trained" in markup(app)


def test_the_repaired_file_is_read_after_a_bad_one(open_app: Open) -> None:
    app = upload(open_app(PAGE), "bad.csv", b"userId,movieId,rating\n1,2,good\n")
    assert app.error
    shown = {box.label: box.proto.options[0] for box in app.selectbox}
    assert (shown["Who"], shown["Rating or amount"]) == ("userId (from the file)", "rating (from the file)")
    assert (shown["When"], shown["The rows are"]) == ("none", "not clear yet")
    assert app.button(key="use upload").label == "Use it: correct the file first"
    app.file_uploader[0].clear()
    app = upload(app, "good.csv", ratings_csv().encode())
    assert not app.error
    assert app.text_input[0].placeholder == "2 to 5 (from the file)"
    assert not app.button(key="use upload").disabled


def test_an_upload_is_invisible_to_other_visitors(open_app: Open) -> None:
    app = upload(open_app(PAGE), "mine.csv", ratings_csv().encode())
    name = use(app)
    other = open_app(PAGE, data=name)
    assert "mine.csv" not in other.selectbox(key="data").options
    assert other.selectbox(key="data").value == "sample"
    assert other.warning


def test_hostile_titles_are_shown_letter_by_letter(open_app: Open) -> None:
    app = upload(open_app(PAGE), "hostile.zip", hostile_zip())
    use(app)
    for page in ("viewers.py", "film.py"):
        app.switch_page(page)
        settle(app)
        shown = markup(app)
        assert cards(app, "top" if page == "viewers.py" else "start")
        for live in ("<script", "<img src=x", "<svg", "<b>x", "\u202e", "A" * 1000):
            assert live not in shown
        assert "onmouseover='" not in shown
        assert "&lt;script&gt;" in shown or "&lt;img" in shown
        for label in (re.sub(r"\\.", "", label) for label in links(app)):
            for live in ("![x](", "[click](", "**bold**", ":red[", ":smile:", "<script", "\u202e"):
                assert live not in label
