"""Launch the checked cells of a command and tell how they ended."""

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from lossbench.config.cell import Cell
from lossbench.config.check_warm_start import sources_of
from lossbench.config.engines import engine_of
from lossbench.config.tested_epochs import lacking, require_every_epoch
from lossbench.errors import ConfigError, Detached, Killed
from lossbench.locate import locate
from lossbench.records import claims, provenance, record
from lossbench.records.schema import Record
from lossbench.running import progress
from lossbench.running.job import leave_pictures_to_the_report, mistakes, run_jobs
from lossbench.running.plan import plan
from lossbench.running.reuse import not_kept, reusable
from lossbench.running.stopping import stop_signals
from lossbench.running.work_item import FORMAT, job_folder
from lossbench.running.workers import call, start_forkserver, stop_forkserver
from lossbench.tracking.loggers import where_to_look
from lossbench.tracking.repair import mend_cells
from lossbench.words import counted

POLL_SECONDS = 1.0

Entries = list[Record | None]
"""The records of some cells, in their order; None where there is none."""


def launch(cells: list[Cell], start: Callable[[], object] | None = None) -> int:
    """Run what is missing of some cells; return the exit code.

    Parameters
    ----------
    cells : list of Cell
        Checked cells.
    start : callable, optional
        Runs them; by default the engine that the config chooses.

    Raises
    ------
    ConfigError
        If the tracking store can't be used; if parts of a cell do not fit together, after the others have run.
    Killed
        After telling what is done, if the command is stopped.

    """
    for cell in cells if len(cells) > 1 else []:
        leave_pictures_to_the_report(cell.config)
    print(f"lossbench: {_counted(cells)}; results go to {cells[0].config.output_dir}/", file=sys.stderr)
    entries = _read(cells)
    require_every_epoch(lacking(cells, entries), "data.test_every=1, or compare.select=oracle,")
    if all(map(record.is_done, entries)) and not cells[0].config.rerun:
        _say_reused(cells, entries)
        mend_cells(cells, entries, conclude(cells, entries))
        from lossbench.tracking.sweep import places_of

        say_where_to_look(cells[0], places_of(cells))
        return _exit_code(entries)
    from lossbench.tracking.store import prepare, set_environment

    engine = "single" if start is not None else engine_of(cells)
    if engine != "single":
        set_environment(cells[0].config.tracking)
        start_forkserver()
    prepare(cells)
    start = start or partial(_run_by_hydra if engine == "single" else _run_in_workers, cells, engine)
    try:
        with stop_signals(), _as_sweep(cells, warm=engine != "single") as sweep:
            with progress.showing(len(cells)):
                start()
                _finish_what_others_began(cells, start)
            if mistakes:
                raise ConfigError(mistakes[0])
    except Detached as left:
        print(left)
        return 0
    mend_cells(cells, sweep.entries, sweep.folders)
    if engine != "single":
        stop_forkserver()
    say_where_to_look(cells[0], sweep.parents)
    return _exit_code(sweep.entries)


@dataclass
class _Sweep:
    """The runs of a command: their parents in MLflow by experiment, and what they came to at the end."""

    parents: Mapping[str, Any]
    entries: Entries = field(default_factory=list)
    folders: dict[str, list[Path]] = field(default_factory=dict)
    """Of the comparisons, by the name of the data."""


@contextmanager
def _as_sweep(cells: list[Cell], warm: bool) -> Iterator[_Sweep]:
    """Open the parents of some runs; at their end, but not if they go on detached, compare them and close the parents.

    What a stop or a failure leaves is compared and closed as well, so far as it is there.
    """
    from lossbench.tracking.sweep import close_parents, open_parents

    sweep, ended = _Sweep(open_parents(cells) if len(cells) > 1 else {}), "failed"
    try:
        yield sweep
        ended = "finished"
    except Killed:
        ended = "killed"
        raise
    except Detached:
        ended = "detached"
        raise
    finally:
        sweep.entries, reported = _read(cells), False
        try:
            if ended in ("finished", "killed"):
                sweep.folders = conclude(cells, sweep.entries, warm=warm)
            reported = True
        except Killed:
            ended = "killed"  # a later call writes the report, and ends the parents with it
            raise
        finally:
            status = "failed" if ended == "finished" and not all(map(record.is_done, sweep.entries)) else ended
            if status != "detached":
                close_parents(sweep.parents, status, sweep.folders, str(cells[0].config.tracking.uri))
            if ended == "killed" and reported:  # MLflow may not know of a run that it was stopped as it began or ended
                mend_cells(cells, sweep.entries, sweep.folders)


def say_where_to_look(cell: Cell, parents: Mapping[str, Any]) -> None:
    """Say where the runs of a command can be seen: in MLflow, by its parent runs if any was opened, and by a logger."""
    if (uri := cell.config.tracking.uri) is not None:
        from lossbench.tracking.sweep import links

        print("\n".join(links(parents, uri)))
    if told := where_to_look(cell.config.tracking, Path(cell.config.output_dir)):
        print(told)


def _run_by_hydra(cells: list[Cell], _engine: str) -> None:
    """Let Hydra's launcher run the cells; before that, in this process, what others start from."""
    sources = _unfinished_sources(cells)
    if sources:
        from lossbench.running.run import run

        with _logging():
            for source in sources:
                with job_folder(source):
                    run(source)
    run_jobs(cells)


def run_round(cells: list[Cell], engine: str) -> None:
    """Run what is missing of some cells of a command that goes on after them.

    The command has prepared the store, and started the forkserver unless the engine is "single".

    Raises
    ------
    ConfigError
        If parts of a cell do not fit together, after the others have run.
    Killed
        If the command is stopped.

    """
    for cell in cells if len(cells) > 1 else []:
        leave_pictures_to_the_report(cell.config)
    if engine == "single":
        from lossbench.running.run import run

        def start() -> object:
            return [run(cell) for cell in cells]

    else:
        start = partial(_run_in_workers, cells, engine)
    with progress.showing(len(cells)):
        start()
        _finish_what_others_began(cells, start)


def _run_in_workers(cells: list[Cell], engine: str) -> None:
    """Run the cells that are not done, as the engine puts them together; what others start from comes first."""
    keys = {cell.key for cell in cells}
    cold = [cell for cell in cells if cell.source is None]
    cold += [source for source in _unfinished_sources(cells) if source.key not in keys]
    told: ConfigError | None = None
    with _logging():
        for part in (cold, [cell for cell in cells if cell.source is not None]):
            try:
                _run_part([cell for cell in part if reusable(cell) is None], engine)
            except ConfigError as error:
                told = told or error  # the others run
            left = _unfinished_sources(cells)
            _finish_what_others_began(left, partial(_run_part, left, engine))
    if told is not None:
        raise told


def _run_part(todo: list[Cell], engine: str) -> None:
    if not todo:
        return
    cluster = todo[0].resolved["cluster"]
    chosen = plan(todo, engine, cluster.get("max_parallel"))
    for note in chosen.notes:
        print(note, file=sys.stderr)
    settings = {name: value for name, value in cluster.items() if not name.startswith("_")}
    locate(cluster["_target_"])(chosen.items, chosen.workers, **settings)


def _unfinished_sources(cells: list[Cell]) -> list[Cell]:
    """Return the runs that others start from and that have not ended."""
    return [source for source in sources_of(cells) if not record.is_done(record.read(source.path))]


@contextmanager
def _logging() -> Iterator[None]:
    """Print what this process has to say of the cells, as it is printed where they run."""
    handler, logger = logging.StreamHandler(sys.stdout), logging.getLogger("lossbench")
    handler.setFormatter(FORMAT)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def conclude(cells: list[Cell], entries: Entries, warm: bool = False) -> dict[str, list[Path]]:
    """Print how the cells ended, and for a sweep the verdict on each problem; return the folders of its reports.

    With `warm` a worker compares, which has imported what it takes.
    """
    for cell, entry in zip(cells, entries, strict=True):
        if entry is not None and entry["status"] != "finished":
            shown = entry.get("error", "")
            print(f"{entry['status']}: {cell.data} {cell.name}: {shown}  ({cell.path})", file=sys.stderr)
    done = sum(map(record.is_done, entries))
    if done < len(cells):
        print(f"{done} of {len(cells)} runs are done. The same command again runs only the others.", file=sys.stderr)
    if len(cells) == 1:
        print(f"The record is in {cells[0].path}/")
        return {}
    if warm:
        return dict(call("lossbench.compare.present:compare_cells", cells))
    from lossbench.compare.present import compare_cells

    return compare_cells(cells)


def _finish_what_others_began(cells: list[Cell], start: Callable[[], object]) -> None:
    """Wait for cells that other processes run, and take over those whose process dies."""
    while elsewhere := [cell for cell in cells if _is_elsewhere(cell)]:
        print(_waiting(elsewhere), file=sys.stderr)
        while any(_is_elsewhere(cell) for cell in elsewhere):
            time.sleep(POLL_SECONDS)
        if not all(map(record.is_done, _read(elsewhere))):
            start()


def _waiting(cells: list[Cell]) -> str:
    processes = [(entry or {}).get("process") or {} for entry in _read(cells)]
    hosts = sorted({process["host"] for process in processes if process and claims.is_of_another_machine(process)})
    told = f"waiting for {len(cells)} runs of other processes, such as {cells[0].name}"
    dead = f". If {hosts[0]} no longer runs: python -m lossbench.repair dead={hosts[0]}" if hosts else ""
    return told + dead


def _is_elsewhere(cell: Cell) -> bool:
    entry = record.read(cell.path)
    if record.is_done(entry):
        return False
    running = entry is not None and entry["status"] == "running" and claims.is_alive(entry["process"], cell.path)
    return running or claims.is_claimed(cell.path)


def _read(cells: list[Cell]) -> Entries:
    return [record.read(cell.path) for cell in cells]


def _say_reused(cells: list[Cell], entries: Entries) -> None:
    runs = "the run was" if len(entries) == 1 else f"all {len(entries)} runs were"
    print(f"{runs} made before: reused (rerun=true trains again)", file=sys.stderr)
    changes = Counter(change for entry in entries for change in provenance.changes(entry or {}))
    for change, count in changes.items():
        print(f"warning: {count} of them with another version: {change}", file=sys.stderr)
    lacking = Counter(not_kept(cell, entry or {"config": {}}) for cell, entry in zip(cells, entries, strict=True))
    for told, count in lacking.items():
        if told:
            print(f"warning: {count} of them have kept no {told}: rerun=true trains them again", file=sys.stderr)


def _exit_code(entries: Entries) -> int:
    statuses = {(entry or {}).get("status") for entry in entries}
    return 0 if statuses == {"finished"} else 1


def _counted(cells: list[Cell]) -> str:
    """Write how many runs there are, of how many problems, losses and seeds."""
    problems = counted(len({cell.data for cell in cells}), "problem")
    losses = counted(len({(cell.variant, cell.method) for cell in cells}), "loss", "losses")
    seeds = counted(len({cell.config.seed for cell in cells}), "seed")
    return f"{counted(len(cells), 'run')} ({problems}, {losses}, {seeds})"
