"""The layout of the code: imports run one way, the package knows no Streamlit, pages share by `pages.ui` only."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from recengine.models.registry import MODELS

ROOT = Path(__file__).parent.parent
LAYERS = (
    "data",
    "metrics",
    "training",
    "models",
    "evaluation",
    "experiments",
    "serving",
    "jobs",
    "api",
    "cli",
    "distributed",
)
AT_THE_SIDE = {"errors": -1, "settings": -1, "files": -1, "export": -1, "testing": LAYERS.index("serving")}
"""Modules outside the layers: helpers that every layer may use, and the contract of models."""

PACKAGE = sorted((ROOT / "recengine").rglob("*.py"))
PAGES = sorted((ROOT / "pages").rglob("*.py"))
SHARED = ("pages.ui", "pages.hosting", "pages.posters")


LARGEST = 350
"""The most lines that a file of code may have."""
OTHER_TESTS = {"app", "browser", "harm", "hosting", "posters", "support"}
"""Folders of tests that mirror no folder of the package: the pages, the whole app, and what tests share."""
FRONT_END = re.compile(r"(?<![\w-])--[a-z]|[Ss]treamlit|\b[Pp]age [A-Z]")
WRITES_COMMANDS = {"recengine/jobs/process.py", "recengine/distributed.py"}
"""Files outside the command line that contain its flags, because they start it."""


def imported(path: Path) -> set[str]:
    """Return the dotted names of everything that a file imports anywhere, with relative imports made absolute."""
    names: set[str] = set()
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def layer(dotted: str) -> int:
    """Return the position of `recengine.<part>...` in the order of layers."""
    part = dotted.split(".")[1]
    if part in ("__init__", "__main__", "__version__"):
        return len(LAYERS) if part == "__main__" else -1
    return AT_THE_SIDE[part] if part in AT_THE_SIDE else LAYERS.index(part)


def layer_of(path: Path) -> int:
    if path == ROOT / "recengine" / "__init__.py":  # loads whatever it offers when it is first asked for
        return len(LAYERS)
    return layer(".".join(path.relative_to(ROOT).with_suffix("").parts))


@pytest.mark.parametrize("path", PACKAGE, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    for name in imported(path):
        if name.split(".")[0] == "recengine" and name != "recengine.__version__":
            assert layer(name) <= layer_of(path), f"{path.relative_to(ROOT)} imports {name}"


def test_every_part_of_the_package_has_a_layer() -> None:
    parts = {p.stem if p.is_file() else p.name for p in (ROOT / "recengine").iterdir() if p.suffix in ("", ".py")}
    parts -= {"__init__", "__main__", "__pycache__", "py"}
    assert parts <= {*LAYERS, *AT_THE_SIDE}


@pytest.mark.parametrize("path", PACKAGE, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_package_imports_neither_streamlit_nor_pickle_nor_the_pages(path: Path) -> None:
    tops = {name.split(".")[0] for name in imported(path)}
    assert not tops & {"streamlit", "pages", "app", "tests", "pickle", "dill", "joblib", "shelve"}


@pytest.mark.parametrize("path", [p for p in PAGES if "ui" in p.parts], ids=lambda p: str(p.relative_to(ROOT)))
def test_what_pages_share_depends_on_no_page(path: Path) -> None:
    assert all(n.startswith(SHARED) for n in imported(path) if n.split(".")[0] == "pages")


def test_pages_import_nothing_of_each_other() -> None:
    for path in [*PAGES, ROOT / "app.py"]:
        if path.is_file():
            names = imported(path)
            assert not {n.split(".")[0] for n in names} & {"ui", "tests", "pickle"}, path
            names -= {"pages.main.PAGES"} if path.name == "app.py" else set()  # their titles, for the served HTML
            assert all(n.startswith(SHARED) for n in names if n.split(".")[0] == "pages"), path


def messages(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the string literals of a file with their lines, without docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


@pytest.mark.parametrize("path", [p for p in PACKAGE if p.parent.name != "cli"], ids=lambda p: str(p.relative_to(ROOT)))
def test_messages_of_the_package_name_neither_flags_nor_pages(path: Path) -> None:
    """Messages name fields; the command line and the app translate them into flags and labels."""
    if path.relative_to(ROOT).as_posix() not in WRITES_COMMANDS:
        assert [(line, text) for line, text in messages(path) if FRONT_END.search(text)] == []


@pytest.mark.parametrize("path", [*PACKAGE, *PAGES], ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_is_too_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LARGEST


def folders(root: Path) -> set[str]:
    """Return the folders below `root` that hold code, relative to it."""
    return {path.parent.relative_to(root).as_posix() for path in root.rglob("*.py") if path.name != "__init__.py"}


def test_tests_mirror_the_package() -> None:
    code, tests = folders(ROOT / "recengine"), folders(ROOT / "tests")
    assert {folder for folder in tests if folder.split("/")[0] not in OTHER_TESTS} <= code
    tested = {path.parent.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    assert code - tested == {"data/sample"}, "the sample is tested with the other sources of data"


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda p: p.name)
def test_benchmarks_import_nothing_of_the_tests(path: Path) -> None:
    assert not {name for name in imported(path) if name.split(".")[0] == "tests"}


def test_nothing_seeds_globally_but_inside_fork_rng() -> None:
    for path in [*PACKAGE, *PAGES]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        forked = [n for n in ast.walk(tree) if isinstance(n, ast.With) and "fork_rng" in ast.unparse(n.items[0])]
        allowed = {id(call) for block in forked for call in ast.walk(block)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and id(node) not in allowed:
                assert ast.unparse(node.func) not in {"torch.manual_seed", "np.random.seed", "random.seed"}, path


def test_no_file_of_the_package_calls_bare_cuda_or_evaluates_text() -> None:
    for path in [*PACKAGE, *PAGES]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in {"eval", "exec"}, path
                assert not called.endswith(".cuda"), path


def test_hosted_versions_are_exact_and_within_the_bounds_of_the_requirements() -> None:
    def named(file: str) -> dict[str, Requirement]:
        lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
        parsed = [Requirement(line) for line in lines if line and not line.startswith("#")]
        return {requirement.name.lower(): requirement for requirement in parsed}

    hosted = {name: str(requirement.specifier) for name, requirement in named("requirements-hosted.txt").items()}
    assert all(version.startswith("==") and "*" not in version for version in hosted.values())
    for name, requirement in named("requirements.txt").items():
        bounds = [str(bound) for bound in requirement.specifier]
        assert any(bound.startswith(("<", "==")) for bound in bounds), f"{name} has no upper bound"
        assert name == "torch" or requirement.specifier.contains(hosted[name].removeprefix("==")), name


NAMES_AS_OTHER_WORDS = {
    "pages/data.py": {"counts"},
    "pages/home.py": {"content"},  # a width
    "pages/compare.py": {"random"},  # a split
    "pages/ui/sharing.py": {"content"},
    "pages/film.py": {"content"},  # a width
    "pages/viewers.py": {"content", "taste"},  # a width, and what a viewer likes
    "pages/ui/film_similar.py": {"content"},
    "pages/ui/filters.py": {"popularity"},  # a filter
    "pages/ui/run_figures.py": {"step"},  # a setting of a chart
    "recengine/cli/arguments.py": {"random"},  # an order of equal times
    "recengine/cli/evaluation.py": {"popularity"},  # the fallback
    "recengine/cli/reporter.py": {"step"},  # a line of progress
    "recengine/cli/serving.py": {"popularity", "content"},  # the fallback; what a likeness rests on
    "recengine/serving/likeness.py": {"content"},
    "recengine/serving/take_home.py": {"content"},  # what items are
    "recengine/data/splits.py": {"random"},
    "recengine/evaluation/policy.py": {"popularity"},  # the fallback
    "recengine/jobs/events.py": {"step"},
    "recengine/jobs/progress.py": {"step"},
    "recengine/serving/sessions.py": {"bias"},  # an array
    "recengine/serving/vectors.py": {"bias"},  # a column
}
"""Words that are also names of models, and what they mean in these files."""


def test_no_model_is_a_special_case_by_its_name() -> None:
    for path in [*PAGES, ROOT / "app.py", *PACKAGE]:
        file = str(path.relative_to(ROOT))
        if not file.startswith("recengine/models/"):
            tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            words = {node.value for node in tree if isinstance(node, ast.Constant) and isinstance(node.value, str)}
            named = (words & MODELS.keys()) - NAMES_AS_OTHER_WORDS.get(file, set())
            assert not named, f"{file} names {', '.join(sorted(named))}; ask the class for a fact, or the registry"
