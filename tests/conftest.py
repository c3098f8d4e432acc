import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from tests.support.commands import ROOT, ended, make_cell, read_conf_once

os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_finish() -> None:
    """Let Hydra keep what it reads of `conf/`, and the garbage collector pass over what was imported, which stays."""
    read_conf_once()
    gc.collect()
    gc.freeze()


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
        return ended(*arguments, module=module, cwd=cwd, **environment)

    return command


@pytest.fixture
def cell(tmp_path: Path):
    """Compose and check a cell as a command does, without tracking."""

    def make(*overrides: str, output_dir: Path = tmp_path):
        return make_cell(*overrides, output_dir=output_dir)

    return make


@pytest.fixture
def undrawn(monkeypatch):
    """No pictures: half of the time of a small run."""
    monkeypatch.setattr("lossbench.running.artifacts.draw_run", lambda *_: [])


@pytest.fixture
def whole_checkpoints(monkeypatch):
    """Leave the checkpoints of runs that are done as they were on the way, with their optimizers."""
    monkeypatch.setattr("lossbench.running.artifacts.lighten", lambda _path: None)


@pytest.fixture(scope="session")
def taught(tmp_path_factory):
    """The override that gives a loss its teacher, a short run on the same data; none where it asks for none."""
    from lossbench.losses.facts import declared_losses
    from lossbench.running.run import run

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
