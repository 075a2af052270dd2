"""From a model to a service that answers: python examples/serving.py"""

import json
import socket
import subprocess
import sys
import tempfile
import time
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import recengine as rec

with socket.socket() as free:  # a port that nobody uses
    free.bind(("127.0.0.1", 0))
    PORT = str(free.getsockname()[1])
ADDRESS = f"http://127.0.0.1:{PORT}"


def ask(route: str, body: object = None) -> dict[str, object]:
    """GET a route, or POST a body to it."""
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(ADDRESS + route, data, {"Content-Type": "application/json"}), timeout=10) as answer:
        return json.load(answer)


with tempfile.TemporaryDirectory() as folder:
    rec.EASE(l2=200).fit(rec.load("sample")).save(f"{folder}/shop")

    # The folder is all that the service needs. In a terminal: recengine serve --model-folder shop --port 8765
    command = [sys.executable, "-m", "recengine", "serve", "--model-folder", f"{folder}/shop", "--port", PORT]
    service = subprocess.Popen(command)
    try:
        while True:  # until it is up
            try:
                print(ask("/health"))
                break
            except URLError:
                assert service.poll() is None, "the service did not start"
                time.sleep(0.1)
        print(ask("/users/7/recommendations?k=2"))
        new_user = {"ratings": {"839": 5, "460": 1}}  # not in the data: nothing is trained
        print(ask("/recommendations", {"new_users": [new_user], "k": 2, "where": {"genres": ["Comedy"]}}))
        print(ask("/items/839/similar?k=2"))
        try:
            ask("/users/nobody/recommendations")
        except HTTPError as error:
            print(error.code, json.load(error)["error"]["message"])
    finally:
        service.terminate()
        service.wait()
