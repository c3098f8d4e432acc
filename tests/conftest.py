import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parent.parent
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def real_data_root() -> Path:
    """The folder with the real MNIST and CIFAR-10 in torchvision's layout, where a machine has them.

    It is `LOSSBENCH_DATA`, or a cache into which the archives beside the checkout are unpacked once.
    """
    root, unpack = os.environ.get("LOSSBENCH_DATA"), ROOT.parent / "shared" / "data" / "unpack.py"
    if root is None and unpack.is_file():
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lossbench-test-data"
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / ".lock"):
            if not (cache / ".whole").exists():
                subprocess.run([sys.executable, str(unpack), str(cache)], check=True, stdout=subprocess.DEVNULL)
                (cache / ".whole").touch()
        root = str(cache)
    if root is None or not all((Path(root) / folder).is_dir() for folder in ("cifar-10-batches-py", "MNIST")):
        pytest.skip("the files of MNIST and CIFAR-10 are not here: set LOSSBENCH_DATA to their folder")
    return Path(root)


@pytest.fixture
def lossbench(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `python -m lossbench ARGUMENTS` as a user would, in a folder of its own."""

    def command(*arguments: str, module: str = "lossbench", cwd: Path = tmp_path, **environment: str):
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    return command


def make_cell(*overrides: str, output_dir: Path):
    """Compose and check a cell as a command does, without tracking."""
    from hydra import compose, initialize_config_dir

    from lossbench import CONF
    from lossbench.cells import cell_of
    from lossbench.checks import check_cell

    lines = ["tracking=none", f'output_dir="{output_dir}"', *overrides]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        made = cell_of(compose("config", lines, return_hydra_config=True))
    check_cell(made)
    return made


@pytest.fixture
def cell(tmp_path: Path):
    """Compose and check a cell as a command does, without tracking."""

    def make(*overrides: str, output_dir: Path = tmp_path):
        return make_cell(*overrides, output_dir=output_dir)

    return make


@pytest.fixture(scope="session")
def taught(tmp_path_factory):
    """The override that gives a loss its teacher, a short run on the same data; none where it asks for none."""
    from lossbench.catalogue import declared_losses
    from lossbench.run import run

    folders: dict[str, Path] = {}

    def overrides(loss: str, data: str) -> list[str]:
        if "teacher_logits" not in declared_losses()[loss].needs:
            return []
        if data not in folders:
            lines = [f"data={data}", "loss=cross_entropy", "trainer.max_epochs=10"]
            each = make_cell(*lines, output_dir=tmp_path_factory.mktemp("teacher"))
            assert run(each)["status"] == "finished"
            folders[data] = each.path
        return [f"teacher={folders[data]}"]

    return overrides


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start `python -m lossbench ARGUMENTS` in a folder; its errors come with its output."""
    return subprocess.Popen(
        [sys.executable, "-m", "lossbench", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
