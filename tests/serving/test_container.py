"""The container files: what they copy, install, run and ask is there. No container is built."""

import json
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from recengine.cli.parser import build_parser
from recengine.data.dataset import Dataset
from recengine.experiments.model_folder import open_folder, save_folder
from recengine.experiments.train import TrainingRequest, obtain
from recengine.serving.http import create_app

ROOT = Path(__file__).parents[2]


def instructions(name: str) -> list[tuple[str, str]]:
    """Return the instructions of a file with their arguments, continued lines joined."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.serve"])
def test_a_container_file_copies_what_is_there_and_runs_without_privileges(name: str) -> None:
    steps = instructions(name)
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for source in [source for word, rest in steps if word == "COPY" for source in rest.split()[:-1]]:
        assert (ROOT / source).exists()
        assert not any(fnmatch(source, pattern) for pattern in ignored)
    words = [word for word, _ in steps]
    users = [rest for word, rest in steps if word == "USER"]
    assert users == ["recengine"]
    assert words.index("USER") > max(at for at, word in enumerate(words) if word == "RUN")
    pinned = re.search(r"^torch==.*$", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert pinned is not None
    assert any(pinned[0] in rest for word, rest in steps if word == "RUN")


def test_the_build_of_the_package_finds_what_it_names_among_the_files_that_are_copied() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    needed = ["pyproject.toml", "README.md", "LICENSE", "NOTICE", "app.py", "pages", "recengine", ".streamlit"]
    assert not [name for name in needed if any(fnmatch(name, pattern) for pattern in ignored)]


def test_the_container_serves_the_folder_in_its_volume_and_asks_for_its_health(tiny: Dataset, tmp_path: Path) -> None:
    steps = dict(instructions("Dockerfile.serve"))
    command = json.loads(steps["CMD"])
    assert command[0] == "recengine"
    trained = obtain(TrainingRequest(tiny, "popularity", positive=4.0))
    save_folder(tmp_path / "shop", trained, tiny, positive=4.0)
    mounted = [part.replace(steps["VOLUME"], str(tmp_path)) for part in command[1:]]
    options = build_parser().parse_args(mounted)
    assert options.model_folder == tmp_path / "shop"
    address = re.search(r"http://localhost:(\d+)(/\w+)", steps["HEALTHCHECK"])
    assert address is not None
    assert (options.host, str(options.port), address[1]) == ("0.0.0.0", steps["EXPOSE"], steps["EXPOSE"])
    assert address[2] in {getattr(route, "path", "") for route in create_app(open_folder(options.model_folder)).routes}
