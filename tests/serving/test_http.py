"""A model folder over HTTP: the lists of the command line, filters, limits, errors in one form, and a new folder."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from recengine.data import dataset
from recengine.data.histories import rows_of_new
from recengine.data.sources import load_dataset
from recengine.errors import BadInput
from recengine.experiments.model_folder import open_folder, save_folder
from recengine.experiments.train import TrainingRequest, obtain
from recengine.serving.http import MOST_BYTES, create_app
from recengine.serving.http_schema import Batch, NewUser
from recengine.serving.item_filter import matching_items
from recengine.serving.recommend import recommend, recommend_new
from recengine.training.config import RunConfig


def write_folder(folder: Path, name: str) -> Path:
    data = load_dataset("sample")
    trained = obtain(TrainingRequest(data, name, {}, RunConfig(), 4.0))
    save_folder(folder, trained, data, positive=4.0)
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("http") / "ease", "ease")


@pytest.fixture(scope="module")
def client(saved: Path):
    with TestClient(create_app(open_folder(saved))) as client:
        yield client


def ids(result: dict[str, Any]) -> list[list[int]]:
    return [[item["item_id"] for item in each["items"]] for each in result["lists"]]


def test_a_known_user_gets_the_list_of_the_library(client: TestClient, saved: Path) -> None:
    result = client.get("/users/7/recommendations", params={"k": 5}).json()
    opened = open_folder(saved)
    user = opened.dataset.user_index([7])
    expected = recommend(opened.model, opened.dataset, user, k=5, positive=4.0).ranking
    assert ids(result) == [opened.dataset.item_ids[expected.items[0].numpy()].tolist()]
    (only,) = result["lists"]
    assert (only["user_id"], only["fallback"], result["model"]) == (7, False, "ease")
    assert [item["score"] for item in only["items"]] == pytest.approx(expected.scores[0].tolist())
    first = opened.dataset.item_index([only["items"][0]["item_id"]])[0]
    assert only["items"][0]["title"] == opened.dataset.items["title"][first]


def test_new_users_are_served_in_one_batch_with_known_ones(client: TestClient, saved: Path) -> None:
    asked = {"users": [7, "8"], "new_users": [{"ratings": {"839": 5, "460": 4.5}}, {"likes": ["839"]}, {}], "k": 10}
    lists = client.post("/recommendations", json=asked).json()["lists"]
    assert [each["user_id"] for each in lists] == [7, 8, None, None, None]
    assert [each["fallback"] for each in lists] == [False, False, False, False, True]
    opened = open_folder(saved)
    data = opened.dataset
    rows = rows_of_new([(0, 839, 5.0), (0, 460, 4.5)], data, 1)
    expected = recommend_new(opened.model, data, rows, k=10, positive=4.0).ranking.items[0]
    assert [item["item_id"] for item in lists[2]["items"]] == data.item_ids[expected.numpy()].tolist()
    assert 839 not in [item["item_id"] for item in lists[3]["items"]]


def test_new_users_items_are_looked_up_at_once_and_unknown_ones_are_named(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = open_folder(saved).dataset
    ids = data.item_ids[:3]
    monkeypatch.setattr(dataset, "_lookup", None)  # which compares and searches: too slow for each answer
    assert rows_of_new([(0, id, 5.0) for id in (ids[2], str(ids[0]))], data, 1).item_idx.tolist() == [2, 0]
    monkeypatch.undo()
    for unknown in (f"0{ids[0]}", f"{ids[0]}.0", "nope"):
        with pytest.raises(BadInput, match=f"item '{re.escape(unknown)}' is not in 'sample'"):
            rows_of_new([(0, ids[1], 5.0), (0, unknown, 5.0)], data, 1)


def test_dislikes_and_what_was_seen_change_the_list(client: TestClient) -> None:
    likes = {"likes": [839, 460]}
    plain = client.post("/recommendations", json={"new_users": [likes]}).json()
    first, second = ids(plain)[0][:2]
    seen = client.post("/recommendations", json={"new_users": [{**likes, "seen": [first]}]}).json()
    assert first not in ids(seen)[0]
    assert ids(seen)[0][0] == second
    disliked = client.post("/recommendations", json={"new_users": [{**likes, "dislikes": [first]}]}).json()
    assert first not in ids(disliked)[0]
    assert ids(disliked)[0] != ids(seen)[0]  # a dislike speaks against what is like it


def test_filters_allow_deny_and_look_at_attributes(client: TestClient, saved: Path) -> None:
    data = open_folder(saved).dataset
    asked = {"users": [7], "k": 50, "where": {"genres": ["Horror", "western"], "year": [1970, 1989]}}
    horror = data.item_index(ids(client.post("/recommendations", json=asked).json())[0])
    items = data.items.iloc[horror]
    assert len(items) > 5
    assert items["year"].between(1970, 1989).all()
    assert items["genres"].str.contains("Horror|Western").all()
    some = [int(i) for i in data.item_ids[:8]]
    allowed = client.post("/recommendations", json={"users": [7], "allow": some, "deny": some[:2]}).json()
    assert set(ids(allowed)[0]) <= set(some[2:])
    assert matching_items(data) is None


@pytest.mark.parametrize(
    ("address", "status", "field"),
    [
        ("/users/99999/recommendations", 404, "user"),
        ("/items/99999/similar", 404, "item"),
        ("/users/7/recommendations?k=0", 422, "k"),
        ("/users/7/recommendations?k=1001", 422, "k"),
        ("/users/7/recommendations?k=" + "9" * 5_000, 422, "k"),
        ("/users/%ED%A0%80/recommendations", 404, "user"),
        ("/nothing", 404, "address"),
    ],
)
def test_errors_name_field_value_and_remedy(client: TestClient, address: str, status: int, field: str) -> None:
    answer = client.get(address)
    error = answer.json()["error"]
    assert (answer.status_code, error["field"]) == (status, field)
    assert set(error) == {"field", "value", "expected", "remedy", "message"}
    assert error["message"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "users"),
        ({"users": [7], "where": {"mood": ["dark"]}}, "mood"),
        ({"users": [7], "where": {"year": [1990]}}, "lowest"),
        ({"users": [7], "deny": [99999]}, "99999"),
        ({"new_users": [{"ratings": {"839": 7}}]}, "0.5 to 5"),
        ({"new_users": [{"stars": {"839": 5}}]}, "stars"),
        ({"users": [7] * 1001}, "users"),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused(client: TestClient, body: dict[str, Any], named: str) -> None:
    answer = client.post("/recommendations", json=body)
    assert answer.status_code == 422
    assert named in str(answer.json()["error"])


WORDS = st.sampled_from([*NewUser.model_fields, *Batch.model_fields, "839", "7", "\ud800", "\0", "9" * 5_000, "year"])
NUMBERS = st.sampled_from([7, 839, 4.5, -1, 10**30, 10**4_000, True, None, float("inf"), float("nan")])
BODIES = st.dictionaries(
    WORDS,
    st.recursive(WORDS | NUMBERS, lambda part: st.lists(part, max_size=3) | st.dictionaries(WORDS, part, max_size=3)),
    max_size=4,
)


@given(body=BODIES.map(json.dumps) | st.sampled_from(["", "{", "[" * 100_000, '{"k": ' + "9" * 5_000 + "}"]))
def test_any_body_gets_lists_or_a_refusal_in_the_one_form(client: TestClient, body: str) -> None:
    answer = client.post("/recommendations", content=body, headers={"Content-Type": "application/json"})
    if answer.status_code == 200:
        assert set(answer.json()) == {"model", "lists"}
    else:
        assert answer.status_code in (400, 422)
        assert set(answer.json()["error"]) == {"field", "value", "expected", "remedy", "message"}
        assert len(answer.content) < 10_000


def test_a_body_that_is_too_large_is_refused_unread(client: TestClient) -> None:
    answer = client.post("/recommendations", content=b"[" + b" " * MOST_BYTES, headers={"Content-Type": "text/json"})
    assert (answer.status_code, answer.json()["error"]["field"]) == (413, "body")


def test_similar_health_and_the_page_of_the_routes(client: TestClient) -> None:
    similar = client.get("/items/839/similar", params={"k": 3}).json()
    assert len(ids(similar)[0]) == 3
    health = client.get("/health").json()
    assert (health["status"], health["model"], health["items"], health["stale"]) == ("ok", "ease", 1229, "")
    page = client.get("/docs")
    assert page.status_code == 200
    assert "http" not in page.text.replace("http-equiv", "")  # nothing is fetched from elsewhere
    script = client.get("/docs/static/swagger-ui-bundle.js")
    assert script.status_code == 200
    routes = client.get("/openapi.json").json()["paths"]
    assert {"/recommendations", "/users/{user_id}/recommendations", "/items/{item_id}/similar"} <= set(routes)


def test_a_new_folder_takes_over_and_a_damaged_one_does_not(saved: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(saved, tmp_path / "served")
    with TestClient(create_app(open_folder(folder), watch=0.02)) as client:
        assert client.get("/health").json()["model"] == "ease"
        write_folder(folder, "popularity")
        wait_until(lambda: client.get("/health").json()["model"] == "popularity")
        assert client.get("/users/7/recommendations").json()["model"] == "popularity"
        path = folder / "manifest.json"
        path.write_text(path.read_text().replace("popularity", "nothing"))
        wait_until(lambda: bool(client.get("/health").json()["stale"]))
        assert client.get("/users/7/recommendations").json()["model"] == "popularity"


def wait_until(holds: Any) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_many_requests_at_once_are_all_answered(saved: Path) -> None:
    httpx = pytest.importorskip("httpx")

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(create_app(open_folder(saved)))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as many:
            calls = (many.get(f"/users/{1 + n % 50}/recommendations") for n in range(100))
            return [answer.status_code for answer in await asyncio.gather(*calls)]

    with ThreadPoolExecutor(1) as pool:  # a browser test in this process may have a loop running
        assert set(pool.submit(asyncio.run, ask()).result()) == {200}
