"""The package: requirements held to its metadata, a version from one place, and what a wheel must carry."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import recengine

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
IMPORTED_AS = {"SQLAlchemy": "sqlalchemy"}


def requirements(lines: list[str]) -> dict[str, Requirement]:
    parsed = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {str(requirement.name).lower(): requirement for requirement in parsed}


def in_file(name: str) -> dict[str, Requirement]:
    return requirements((ROOT / name).read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize(
    ("file", "stated"),
    [("requirements.txt", PROJECT["dependencies"] + EXTRAS["app"]), ("requirements-dev.txt", EXTRAS["dev"])],
)
def test_requirements_name_what_the_package_names_within_its_bounds(file: str, stated: list[str]) -> None:
    listed, known = in_file(file), requirements(stated)
    assert listed.keys() == known.keys()
    for name, requirement in listed.items():
        exact = [bound.version for bound in requirement.specifier if bound.operator == "=="]
        if exact:
            assert known[name].specifier.contains(exact[0]), f"{name} is pinned outside the package's bounds"
        else:
            assert requirement == known[name]


def test_torch_is_pinned_where_the_app_runs_and_ranges_in_the_package() -> None:
    assert str(in_file("requirements.txt")["torch"].specifier) == "==2.13.0"
    bounds = {bound.operator for bound in requirements(PROJECT["dependencies"])["torch"].specifier}
    assert bounds == {">=", "<"}


def test_every_dependency_and_extra_has_an_upper_bound() -> None:
    for_users = [lines for name, lines in EXTRAS.items() if name != "dev"]
    for line in sum(for_users, PROJECT["dependencies"]):
        assert {"<", "=="} & {bound.operator for bound in Requirement(line).specifier}, line


def imports(folder: Path) -> set[str]:
    """Return the top-level names that files below a folder import anywhere."""
    names: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return names


def test_the_package_imports_only_what_it_and_its_extras_require() -> None:
    optional = {"optuna", "umap", "faiss", "onnx", "fastapi", "uvicorn", "psycopg", "tensorboard", "pytest", "pydantic"}
    core = {IMPORTED_AS.get(Requirement(line).name, Requirement(line).name) for line in PROJECT["dependencies"]}
    assert imports(ROOT / "recengine") - set(sys.stdlib_module_names) - optional - core <= {"recengine", "starlette"}


def test_the_version_stands_in_one_place() -> None:
    assert "version" in PROJECT["dynamic"]
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited is not None
    assert Version(cited[1]) == Version(recengine.__version__)
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {recengine.__version__}" in changes


@pytest.mark.slow
def test_a_wheel_carries_the_app_its_data_and_the_licences(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = ["py.typed", "data/sample/films.csv", "serving/tastes/tastes.json", "_app/app.py"]
    expected += ["_app/.streamlit/config.toml", "_app/pages/ui/style.css", "_app/pages/static/fonts/OFL.txt"]
    assert {f"recengine/{name}" for name in expected} <= names
    info = f"recengine-{recengine.__version__}.dist-info"
    assert {f"{info}/licenses/{name}" for name in ("LICENSE", "NOTICE", "pages/static/fonts/OFL.txt")} <= names
    in_wheel = {name.removeprefix("recengine/_app/") for name in names if name.startswith("recengine/_app/pages/")}
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "pages"]
    listed = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True)
    assert in_wheel == set(listed.stdout.split())
    assert not {name for name in names if name.startswith(("tests/", "benchmarks/", "pages/", "app.py"))}
