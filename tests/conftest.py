import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def real_data_root() -> Path:
    """The folder with the real MNIST and CIFAR-10 in torchvision's layout, where a machine has them."""
    root = os.environ.get("LOSSBENCH_DATA")
    if root is None or not (Path(root) / "cifar-10-batches-py").is_dir() or not (Path(root) / "MNIST").is_dir():
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
