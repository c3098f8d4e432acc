"""Work items as jobs of a cluster: sent off, waited for, and sent again where one was lost.

What counts is what the runs leave in their folders, which all nodes must see: a job may be lost, or its state wrong. A
note of each job lies in `OUTPUT_DIR/jobs/` until it is over, so that a later command waits for it and sends off only
what is missing. MLflow is told by the command alone, of each run when its job is over: a store need not take a writer
for each node.
"""

import json
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lossbench.config.cell import Cell
from lossbench.config.engines import cores
from lossbench.errors import ConfigError, Detached, Killed
from lossbench.records import dead, files, record
from lossbench.running import progress
from lossbench.running.plan import WorkItem
from lossbench.running.work_item import run_item
from lossbench.tracking.agreement import TOLD_LATER
from lossbench.tracking.repair import mend, tell_all
from lossbench.words import counted

log = logging.getLogger(__name__)

FOLDER = "jobs"
"""Where, in the output folder, the notes of jobs lie and what they printed."""
Answer = tuple[str, str | None]
"""What `run_item` returned."""
LOST: Answer = ("lost", None)
"""The answer of a job that has ended without one."""
_one_at_a_time = threading.Lock()


class Jobs(Protocol):
    """A cluster, as it is asked."""

    name: str
    """In the notes of jobs: only the same kind of cluster is asked for one."""
    poll_seconds: float

    def submit(self, works: Sequence["Work"]) -> list[str]:
        """Send off work; return the names of the jobs."""

    def ended(self, jobs: Sequence[str]) -> dict[str, Answer]:
        """Return the answers of those jobs that are over."""

    def cancel(self, jobs: Sequence[str]) -> None:
        """End jobs."""

    def shown(self, job: str) -> str:
        """Say where what a job printed is to be found."""


@dataclass
class Work:
    """A work item on its way: what a node calls.

    Parameters
    ----------
    item : WorkItem
        Checked cells.
    title : str
        How its log is called.
    place : str
        The working directory of the command: paths in the config may be relative to it.
    python_path : list of str
        Where the command finds modules.

    """

    item: WorkItem
    title: str
    place: str
    python_path: Sequence[str]

    def __call__(self) -> Answer:
        """Run the item; nodes that take several at once run them one after the other: torch has one random stream."""
        with _one_at_a_time:
            folder = Path(self.place) / _output_dir(self.item.cells) / FOLDER
            if not folder.is_dir():
                told = f"{socket.gethostname()} does not see {folder}: output_dir must lie on a disk of all nodes."
                return "mistake", told
            os.chdir(self.place)
            sys.path += [path for path in self.python_path if path not in sys.path]
            os.environ[TOLD_LATER] = "1"
            from lossbench.running.job import keep_freed_memory

            keep_freed_memory()
            threads = int(os.environ.get("SLURM_CPUS_PER_TASK", cores()))
            handler = logging.FileHandler(folder / f"{self.title}.log")
            try:
                return run_item(self.item, threads, handler)
            finally:
                handler.close()
                del os.environ[TOLD_LATER]

    def checkpoint(self) -> object:
        """Return what submitit sends off again when the time of a job is up, or its node is wanted by another."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


@dataclass
class _Job:
    name: str
    item: WorkItem
    tries: int


def run_as_jobs(items: Sequence[WorkItem], jobs: Jobs, tries: int, detach: bool = False) -> None:
    """Run work items as jobs, and wait for them and for those of an earlier command that have the same cells.

    Raises
    ------
    ConfigError
        If parts of a cell do not fit together, or a job was lost too often; after the others have run.
    Detached
        With `detach`, when all is sent off.
    Killed
        If the command is stopped; the jobs go on unless the user, who is asked, says otherwise.

    """
    cells = [cell for item in items for cell in item.cells]
    folder = _output_dir(cells) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    at_work = _noted(cells, jobs, folder)
    taken = {cell.key for job in at_work for cell in job.item.cells}
    new = [_without(item, taken) for item in items]
    at_work += _submit([item for item in new if item.cells], jobs, folder, tries)
    logs = f"What they print is in {folder}/"
    print(f"{counted(len(at_work), 'job')} of {jobs.name}: {counted(len(cells), 'run')}. {logs}", file=sys.stderr)
    if detach:
        raise Detached(f"Sent off: {counted(len(at_work), 'job')}. The same command collects what they leave.")
    try:
        mistakes = _wait(at_work, jobs, folder)
    except Killed as killed:
        left = [path.stem for path in folder.glob("*.json")]
        if _go_on(len(left)):
            raise Killed(killed.exit_code - 128, "The jobs go on. The same command collects them.") from None
        jobs.cancel([job.name for job in at_work if job.name in left])
        raise
    if mistakes:
        raise ConfigError(mistakes[0])


def _submit(items: Sequence[WorkItem], jobs: Jobs, folder: Path, tries: int) -> list[_Job]:
    """Send off items, and note their jobs."""
    if not items:
        return []
    path = [entry for entry in sys.path if entry]
    names = jobs.submit([Work(item, _title(item.cells), str(Path.cwd()), path) for item in items])
    for name, item in zip(names, items, strict=True):
        note = {"cluster": jobs.name, "keys": [cell.key for cell in item.cells], "title": _title(item.cells)}
        files.write_text(folder / f"{name}.json", json.dumps(note))
    return [_Job(name, item, tries) for name, item in zip(names, items, strict=True)]


def _noted(cells: Sequence[Cell], jobs: Jobs, folder: Path) -> list[_Job]:
    """Find the jobs of earlier commands that are at some of the cells; end those that are over."""
    known = {cell.key: cell for cell in cells}
    found = []
    for path in sorted(folder.glob("*.json")):
        with suppress(OSError, ValueError, KeyError):
            note = json.loads(path.read_text(encoding="utf-8"))
            own = [known[key] for key in note["keys"] if key in known]
            if own and note["cluster"] == jobs.name:
                found.append(_Job(path.stem, WorkItem(own, stacked=len(note["keys"]) > 1), tries=1))
    over = jobs.ended([job.name for job in found]) if found else {}
    for job in found:
        if job.name in over:
            _end_runs(job, folder)
    return [job for job in found if job.name not in over]


def _wait(at_work: list[_Job], jobs: Jobs, folder: Path) -> list[str]:
    """Wait for jobs, send what was lost again, and tell MLflow; return what the user must mend."""
    mistakes: list[str] = []
    done: set[str] = set()
    times: dict[Path, float] = {}
    while at_work:
        over = jobs.ended([job.name for job in at_work])
        _show(at_work, done, times)
        for job in [job for job in at_work if job.name in over]:
            at_work.remove(job)
            kind, told = over[job.name]
            lost = _end_runs(job, folder)
            _tell_mlflow(job.item.cells)
            if kind == "mistake":
                mistakes.append(str(told))
            elif lost and job.tries > 1:
                log.warning("%s: lost (%s); %d runs are sent again", job.name, jobs.shown(job.name), len(lost))
                at_work += _submit([WorkItem(lost, job.item.stacked)], jobs, folder, job.tries - 1)
            elif lost:
                names = ", ".join(cell.name for cell in lost)
                mistakes.append(f"{names}: the job {job.name} was lost, as those before it: {jobs.shown(job.name)}")
        if at_work:
            time.sleep(jobs.poll_seconds)
    return mistakes


def _end_runs(job: _Job, folder: Path) -> list[Cell]:
    """End what a job that is over has left running; return the cells that it has not run to an end of theirs."""
    lost = []
    for cell in job.item.cells:
        entry = record.read(cell.path)
        if entry is not None and entry["status"] == "running":
            dead.end_run(cell.path, entry, f"its job {job.name} was lost")
        if entry is None or entry["status"] in ("running", "killed"):
            lost.append(cell)
    (folder / f"{job.name}.json").unlink(missing_ok=True)
    return lost


def _tell_mlflow(cells: Sequence[Cell]) -> None:
    config = cells[0].config
    tell_all([cell.path for cell in cells], config.tracking)
    if config.tracking.uri is None:
        return
    try:
        list(mend(Path(config.output_dir), [cell.path for cell in cells], config.tracking))
    except Exception as error:
        log.warning("MLflow could not be told of %s: %s. The end of the command tries again.", cells[0].name, error)


def _show(at_work: Sequence[_Job], done: set[str], times: dict[Path, float]) -> None:
    """Tell how far the cells are; a record is read only when it has changed."""
    for job in at_work:
        for cell in job.item.cells:
            with suppress(OSError):
                changed = (cell.path / record.FILE).stat().st_mtime
                if cell.key not in done and times.get(cell.path) != changed:
                    times[cell.path] = changed
                    if record.is_done(record.read(cell.path)):
                        done.add(cell.key)
                        progress.run_done()
    left = sum(cell.key not in done for job in at_work for cell in job.item.cells)
    progress.run_started(f"{len(at_work)} jobs", len(at_work), left)


def _go_on(count: int) -> bool:
    """Ask whether jobs shall go on; they do where nobody can be asked, or the answer is another Ctrl-C."""
    if not count or not sys.stdin.isatty():
        return True
    try:
        return input(f"\n{count} jobs are on the cluster. Shall they go on? [Y/n] ").strip().lower() not in ("n", "no")
    except (Killed, EOFError):
        return True


def _without(item: WorkItem, taken: Iterable[str]) -> WorkItem:
    return WorkItem([cell for cell in item.cells if cell.key not in taken], item.stacked)


def _title(cells: Sequence[Cell]) -> str:
    others = f"-and-{len(cells) - 1}-more" if len(cells) > 1 else ""
    return f"{cells[0].data}-{cells[0].path.name}{others}"


def _output_dir(cells: Sequence[Cell]) -> Path:
    return Path(cells[0].config.output_dir)
