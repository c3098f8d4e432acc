"""`make demo`: set up an environment and run a first comparison, one line a step.

Of torch it takes the build for CPUs (about 200 MB) on a Linux without an NVIDIA GPU, and else what pip's index offers,
which on Linux is several gigabytes for CUDA. `TORCH=cuda make demo` takes that anyway, `TORCH=cpu make demo` the small
one. Where download.pytorch.org can't be reached, pip's index is asked, and a line says so. Standard library only: it
runs before anything is installed.
"""

import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMMAND = (
    "-m", "lossbench", "-m", "data=digits_imb", "loss=cross_entropy,focal,balanced_softmax,ldam", "seed=0,1,2,3,4",
    "trainer.max_epochs=10",
)  # fmt: skip
"""The demo: README opens with its picture and its verdict (`python scripts/readme_picture.py` makes them)."""
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
TORCH = ("torch>=2.2", "torchvision>=0.17")
PROBE_SECONDS = 4.0


def main() -> int:
    """Set up what is missing and run the demo; return its exit code."""
    wanted = os.environ.get("TORCH", "")
    if wanted not in ("", "cpu", "cuda"):
        print(f"error: TORCH={wanted}: allowed are cpu and cuda, or nothing: what fits this machine.", file=sys.stderr)
        return 2
    folder = ROOT / os.environ.get("VENV", ".venv")
    try:
        python = set_up(folder, wanted, shlex.split(os.environ.get("PIP_OPTIONS", "")))
    except subprocess.CalledProcessError as error:
        print(f"error: {shlex.join(map(str, error.cmd))} ended with exit code {error.returncode}.", file=sys.stderr)
        return 1
    step(f"python {shlex.join(COMMAND)}")
    code = subprocess.run([str(python), *COMMAND], cwd=ROOT, check=False).returncode
    reports = sorted((ROOT / "outputs" / "comparisons").glob("digits_imb-*/report.html"), key=os.path.getmtime)
    if code == 0 and reports:
        step(f"done. Open in a browser: {reports[-1].as_uri()}")
        print(f"           mlflow, lossbench and python are in {os.path.relpath(python.parent, ROOT)}/")
    return code


def set_up(folder: Path, wanted: str, options: Sequence[str]) -> Path:
    """Make the environment, unless it is there and newer than pyproject.toml; return its Python."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp, asked = folder / ".demo", (ROOT / "pyproject.toml").stat().st_mtime
    if any(done.is_file() and done.stat().st_mtime >= asked for done in (stamp, folder / ".ready")):
        return python
    if not python.exists():
        step(f"making the environment {folder.name}/")
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", *options]
    if not has_torch(python):
        take_torch(pip, wanted)
    step("installing lossbench and what it needs (a few minutes)")
    subprocess.run([*pip, "-e", str(ROOT)], check=True)
    stamp.touch()
    return python


def take_torch(pip: Sequence[str], wanted: str) -> None:
    """Install the build of torch for CPUs where that is wanted; any other comes with lossbench itself."""
    build = wanted or ("cuda" if has_gpu() else "cpu")
    if build == "cuda" or not (wanted or sys.platform.startswith("linux")):
        return
    if reachable(CPU_INDEX + "/torch/"):
        why = "" if wanted else ": no NVIDIA GPU here; TORCH=cuda make demo takes the other"
        step(f"installing torch for CPUs, about 200 MB{why}")
        if subprocess.run([*pip, *TORCH, "--index-url", CPU_INDEX], check=False).returncode == 0:
            return
    step("the index of torch for CPUs can't be used: pip takes the build of its own index, which may be large")


def has_gpu() -> bool:
    """Tell whether there is an NVIDIA GPU, or its driver."""
    return Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi") is not None


def has_torch(python: Path) -> bool:
    """Tell whether an environment has torch already."""
    look = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"
    return subprocess.run([str(python), "-c", look], check=False).returncode == 0


def reachable(address: str, seconds: float = PROBE_SECONDS) -> bool:
    """Tell whether an address answers within some seconds, the look-up of its name included."""
    answers: list[bool] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=seconds):
                answers.append(True)
        except OSError:
            pass

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    return bool(answers)


def step(what: str) -> None:
    """Print a step, with the time of day."""
    print(f"[{time.strftime('%H:%M:%S')}] {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
