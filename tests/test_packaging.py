"""The wheel: all of conf/ travels in it, and it works away from the checkout."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.commands import ROOT

pytestmark = pytest.mark.xdist_group("wheel")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("this is not a git checkout: nothing says which files are the project's")
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q", "-w"]
    subprocess.run([*command, str(folder), str(source)], check=True, timeout=120)
    return next(folder.glob("*.whl"))


def test_every_yaml_and_module_is_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "conf").rglob("*.yaml"):
        assert f"lossbench/{path.relative_to(ROOT).as_posix()}" in names
    kinds = ("py", "j2", "js", "css", "LICENSE")
    for path in [each for kind in kinds for each in (ROOT / "lossbench").rglob(f"*.{kind}")]:
        assert path.relative_to(ROOT).as_posix() in names


@pytest.fixture(scope="module")
def dependencies(tmp_path_factory) -> Path:
    """All that is installed here but lossbench itself, of which an editable installation leaves a folder."""
    folder = tmp_path_factory.mktemp("dependencies")
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if "lossbench" not in path.name and path.suffix != ".pth":
            (folder / path.name).symlink_to(path)
    return folder


def test_it_works_in_a_clean_environment(wheel, dependencies, tmp_path):
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    how = ["--no-deps", "--no-index", "--force-reinstall"]
    installed = run(sys.executable, "-m", "pip", "--python", str(python), "install", *how, str(wheel))
    site = next((tmp_path / "env").glob("lib/python*/site-packages"))
    there = [path.relative_to(site).as_posix() for path in site.glob("lossbench*/*")]
    told = f"{installed.stdout}{installed.stderr}\nThere is: {there}"
    assert installed.returncode == 0 and "lossbench/locate.py" in there, told
    (site / "dependencies.pth").write_text(f"{dependencies}\n")
    located = run(str(python), "-c", "from lossbench.locate import CONF; print(CONF)")
    assert str(site) in located.stdout, located.stderr + told
    script = str(python.parent / "lossbench")
    composed, module = run(script, "--cfg", "job"), run(str(python), "-m", "lossbench", "--cfg", "job")
    assert composed.returncode == module.returncode == 0, composed.stderr + module.stderr
    assert composed.stdout == module.stdout
    trained = run(script, "trainer.max_epochs=1", "tracking=none")
    assert trained.returncode == 0, trained.stderr
    assert list(tmp_path.glob("outputs/digits_imb/*/record.json"))
