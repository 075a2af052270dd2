"""Files are written through links, into pipes and devices, with the mode that they had or that the umask gives."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from recengine.cli import main
from recengine.errors import BadInput
from recengine.export import check_out
from recengine.files import atomic_file, open_descriptor

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links, pipes and modes as POSIX has them")


def write(target: Path, content: bytes = b"new") -> None:
    with atomic_file(target) as file:
        file.write(content)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def make_links(folder: Path) -> list[Path]:
    """Return a link to a file, one to that link from a folder below, and one to a file that is not there yet."""
    (folder / "real").mkdir()
    (folder / "real" / "list.csv").write_text("old")
    (folder / "link.csv").symlink_to("real/list.csv")
    (folder / "real" / "back.csv").symlink_to(folder / "link.csv")
    (folder / "dangling.csv").symlink_to("real/later.csv")
    return [folder / "link.csv", folder / "real" / "back.csv", folder / "dangling.csv"]


@pytest.mark.parametrize("which", range(3))
def test_what_a_link_names_is_written_and_the_link_stays(tmp_path: Path, which: int) -> None:
    link = make_links(tmp_path)[which]
    check_out(link)
    write(link)
    assert link.is_symlink()
    assert link.read_bytes() == b"new"
    assert not link.resolve().is_symlink()
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("old", [0o600, 0o640, 0o664, 0o755])
def test_a_file_keeps_its_mode_and_its_owner(tmp_path: Path, old: int) -> None:
    target = tmp_path / "f"
    target.write_text("old")
    target.chmod(old)
    if os.geteuid() == 0:
        os.chown(target, 54321, 54322)
    owner = (target.stat().st_uid, target.stat().st_gid)
    write(target)
    assert (target.read_bytes(), mode(target)) == (b"new", old)
    assert (target.stat().st_uid, target.stat().st_gid) == owner


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002, 0o027])
def test_a_new_file_has_the_mode_that_the_umask_gives(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write(tmp_path / "f")
        with (tmp_path / "plain").open("wb"):
            pass
    finally:
        os.umask(before)
    assert mode(tmp_path / "f") == mode(tmp_path / "plain") == 0o666 & ~umask


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    for target in (tmp_path / "f", make_links(tmp_path)[0]):
        target.write_text("old")
        with pytest.raises(TypeError), atomic_file(target) as file:
            file.write(b"half" + "half")  # type: ignore[operator]
        assert target.read_text() == "old"
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("length", [1, 200, 255])
def test_a_name_may_be_as_long_as_a_name_can_be(tmp_path: Path, length: int) -> None:
    write(tmp_path / ("n" * length))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]


def test_a_pipe_a_device_and_a_link_to_a_pipe_are_written_into(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "null").symlink_to(os.devnull)
    got: list[bytes] = []
    for name in ("pipe", "link"):
        check_out(tmp_path / name)
        reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_bytes()))
        reader.start()
        write(tmp_path / name)
        reader.join(30)
    assert got == [b"new", b"new"]
    assert (tmp_path / "pipe").is_fifo()
    write(tmp_path / "null")
    assert Path(os.devnull).is_char_device()


def test_open_files_are_known_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("/dev/stdout")
    (tmp_path / "again").symlink_to("out")
    (tmp_path / "circle").symlink_to("circle")
    names = {
        "/dev/stdin": 0,
        "/dev/stdout": 1,
        "/dev/stderr": 2,
        "/dev/fd/1": 1,
        "/dev/fd/12": 12,
        "/proc/self/fd/7": 7,
    }
    for name, number in {**names, str(tmp_path / "out"): 1, str(tmp_path / "again"): 1}.items():
        assert open_descriptor(Path(name)) == number
    for name in ("/dev/null", "/dev/stdoutx", str(tmp_path / "f"), str(tmp_path / "circle")):
        assert open_descriptor(Path(name)) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none/f", "does not exist"),
        ("far", "does not exist"),
        ("circle", "a link to itself"),
        ("/dev/fd/97", "is not open"),
        (".", "is a folder"),
        ("to-folder", "is a folder"),
    ],
)
def test_what_cannot_be_written_is_refused_beforehand(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "far").symlink_to("none/f")
    (tmp_path / "to-folder").symlink_to(tmp_path)
    with pytest.raises(BadInput, match=rf"^out '.*' .*{words}"):
        check_out(tmp_path / name)


WRITER = """
import sys
from pathlib import Path
from recengine.files import atomic_file
print("before")
with atomic_file(Path(sys.argv[1])) as file:
    file.write(b"new")
"""


@pytest.mark.parametrize(
    ("out", "shell", "result"),
    [
        ("/dev/stdout", "", "before\nnew"),
        ("/dev/stdout", "| cat", "before\nnew"),
        ("/dev/fd/1", "> list.csv; cat list.csv", "before\nnew"),
        ("/dev/stdout", ">> old; cat old", "what was there\nbefore\nnew"),
        ("/dev/fd/5", "5> list.csv; cat list.csv", "before\nnew"),
        ("/dev/stderr", "2>> old; cat old", "before\nwhat was there\nnew"),
        ("link", "| cat", "before\nnew"),
        ("list.csv", "> list.csv; cat list.csv", "new"),  # the shell's own file has gone
    ],
)
def test_an_open_file_is_written_where_it_stands(tmp_path: Path, out: str, shell: str, result: str) -> None:
    (tmp_path / "old").write_text("what was there\n")
    (tmp_path / "link").symlink_to("/dev/stdout")
    assert run_behind(shell, sys.executable, "-c", WRITER, out, folder=tmp_path) == result


def test_a_process_substitution_gets_what_is_written(tmp_path: Path) -> None:
    shell = ">(cat > got); wait; cat got"
    assert run_behind(shell, sys.executable, "-c", WRITER, folder=tmp_path) == "before\nnew"


def run_behind(shell: str, *command: str, folder: Path) -> str:
    """Return what a command prints whose last arguments and streams are a shell's."""
    done = subprocess.run(
        ["bash", "-c", f'"$@" {shell}', "bash", *command],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        timeout=200,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.slow
def test_the_command_line_prints_the_list_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating\n" + "".join(f"{n % 4},{n},4\n" for n in range(12)))
    command = [sys.executable, "-m", "recengine", "recommend", "--dataset", ".", "--model", "popularity", "--user", "1"]
    lines = run_behind("| cat", *command, "-k", "3", "--quiet", "--out", "/dev/stdout", folder=tmp_path).splitlines()
    assert lines[0] == "user_id,rank,item_id,title,score"
    assert [line.split(",")[1] for line in lines[1:]] == ["1", "2", "3"]


def test_standard_output_cannot_hold_a_list_and_a_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["recommend", "--dataset", "sample", "--model", "popularity", "--user", "1", "--json", "--out"]
    assert main([*command, "/dev/stdout"]) == 2
    words = "is where the JSON object goes; leave --json out, or name a file"
    assert capsys.readouterr() == ("", f"recengine: --out '/dev/stdout' {words}\n")
