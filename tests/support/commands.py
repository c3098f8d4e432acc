"""What a command does, in this process or in one of its own."""

import atexit
import functools
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
LOADED = (
    "lossbench.cli.run", "lossbench.cli.compare", "lossbench.cli.tune", "lossbench.cli.losses",
    "lossbench.running.launch", "lossbench.running.stacks", "lossbench.tracking.sweep", "lossbench.tune.study",
    "lossbench.compare.report", "pytorch_lightning", "sklearn.datasets", "alembic", "sqlalchemy",
    "mlflow.store.db.utils", "tests.support.composed_before",
)  # fmt: skip
"""What a process of a command finds imported; by the last, `conf/` is read."""
WITHOUT_TORCH = ("-torch", "hydra._internal.utils", "lossbench.cli.run", "tests.support.composed_before")


def make_cell(*overrides: str, output_dir: Path):
    """Compose and check a cell as a command does, without tracking."""
    from lossbench.config.cell import Cell
    from lossbench.config.checks import check_cell

    seeds = [line for line in overrides if re.fullmatch(r"seed=\d+", line)]
    like = _composed(tuple(line for line in overrides if line not in seeds))
    config = pickle.loads(like.config)
    config.output_dir = str(output_dir)
    if seeds:
        config.seed = int(seeds[-1].removeprefix("seed="))
    made = Cell(config, dict(like.choices), (*like.overrides, f'output_dir="{output_dir}"', *seeds))
    check_cell(made)
    return made


@functools.lru_cache(maxsize=100)
def _composed(overrides: tuple[str, ...]) -> "Composed":
    """Compose a cell: a fifth of a second, therefore once for runs that differ in seed and folder, as a sweep does."""
    from hydra import compose, initialize_config_dir

    from lossbench.config.cell import cell_of
    from lossbench.config.variants import as_hydra_reads
    from lossbench.locate import CONF

    with initialize_config_dir(str(CONF), version_base="1.3"):
        made = cell_of(compose("config", ["tracking=none", *as_hydra_reads(overrides)], return_hydra_config=True))
    return Composed(pickle.dumps(made.config), made.choices, made.overrides)


class Composed(NamedTuple):
    """What a cell is made of, its config as bytes, of which each cell makes one of its own."""

    config: bytes
    choices: dict[str, str]
    overrides: tuple[str, ...]


def read_conf_once() -> None:
    """Let Hydra read each file of `conf/` once in this process, but where it searches a user's folder too."""
    from hydra._internal.config_repository import CachingConfigRepository

    from lossbench.compat.hydra import choices_where_interpolated, own_node_merged_once
    from lossbench.locate import CONF

    choices_where_interpolated().start()
    own_node_merged_once().start()
    kept: dict = {}
    load = CachingConfigRepository.load_config

    def load_once(self, config_path: str):
        ours = all(source.scheme() != "file" or source.path == str(CONF) for source in self.get_sources())
        key = f"config_path={config_path}"
        if ours and config_path in kept and key not in self.cache:
            self.cache[key] = pickle.loads(kept[config_path])  # a composition changes what it is given
        found = load(self, config_path)
        if ours and config_path not in kept:
            kept[config_path] = pickle.dumps(found)
        return found

    CachingConfigRepository.load_config = load_once


@functools.cache
def _server(loaded: tuple[str, ...]) -> subprocess.Popen[str]:
    """Start the Python that forks for each command; it ends with this process, which holds its input open."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.support.fork_server", *loaded],
        cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout.readline() == "ready\n"
    atexit.register(server.communicate)
    return server


def environment(**added: str) -> dict[str, str]:
    """Return the environment of a command."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **added}


class Command:
    """`python -m MODULE ARGUMENTS` in a process of its own, as `subprocess.Popen` would start it."""

    def __init__(
        self, *arguments: str, cwd: Path, module: str = "lossbench", loaded: tuple[str, ...] = LOADED,
        together: bool = False, **added: str,
    ) -> None:  # fmt: skip
        self.returncode: int | None = None
        self._loaded, self._folder = loaded, Path(tempfile.mkdtemp(prefix="lossbench-command-"))
        self.stdout, self.stderr = self._folder / "stdout", self._folder / ("stdout" if together else "stderr")
        for path in (self.stdout, self.stderr):
            path.touch()  # there to be read before the command has opened it
        request = {
            "module": module, "arguments": arguments, "cwd": str(cwd), "environment": environment(**added),
            "stdout": str(self.stdout), "stderr": str(self.stderr),
        }  # fmt: skip
        self.pid: int = self._ask(request)["pid"]

    def _ask(self, request: dict) -> dict:
        server = _server(self._loaded)
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        return json.loads(server.stdout.readline())

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        if self.returncode is None:
            self.returncode = self._ask({"wait": self.pid})["code"]
        return self.returncode

    def communicate(self, timeout: float = 240) -> tuple[str, str]:
        """Wait for the end; return what it wrote to standard output and error."""
        try:
            wait_for(lambda: self.poll() is not None, timeout)
        except AssertionError:
            self.kill()
            raise
        return self.stdout.read_text(encoding="utf-8"), self.stderr.read_text(encoding="utf-8")

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def ended(*arguments: str, **settings: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = Command(*arguments, **settings)
    stdout, stderr = command.communicate()
    return subprocess.CompletedProcess([*arguments], command.returncode, stdout, stderr)


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something has happened."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def start(folder: Path, *arguments: str) -> Command:
    """Start `python -m lossbench ARGUMENTS` in a folder; its errors come with its output."""
    return Command(*arguments, cwd=folder, together=True)
