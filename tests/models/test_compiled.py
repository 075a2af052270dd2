"""Where what is compiled is kept."""

import shutil
from pathlib import Path

import pytest

from recengine.models import compiled


def test_the_folder_is_the_package_s_or_the_home_s_and_another_after_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, home = tmp_path / "recengine", tmp_path / "home"
    kernel = package / "models/kernel.py"
    kernel.parent.mkdir(parents=True)
    kernel.write_text("@compiled\ndef double(x):\n    return 2 * x\n")
    monkeypatch.setattr(compiled, "__file__", str(package / "models/compiled.py"))
    monkeypatch.setenv("RECENGINE_HOME", str(home))
    folder_of = compiled.kernel_folder.__wrapped__

    first = Path(folder_of())
    assert first.parent == package / "__pycache__"
    assert Path(folder_of()) == first
    (package / "models/other.py").write_text("nothing is here")
    assert Path(folder_of()) == first
    for change in range(compiled.KEPT):
        kernel.write_text(f"{kernel.read_text()}# change {change}\n")
        assert Path(folder_of()) != first
    assert len(list(first.parent.iterdir())) == compiled.KEPT

    shutil.rmtree(first.parent)
    first.parent.write_text("a file, so that no folder can be made there")
    assert Path(folder_of()).parent == home
    shutil.rmtree(home)
    home.write_text("and none here")
    assert folder_of() == ""
