"""Run races: what a race asks for next, by the engines of a sweep, until it asks for nothing more."""

import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from lossbench.compare.numbers.selection import test_metrics
from lossbench.config.cell import Cell
from lossbench.errors import ConfigError, Killed, nearest
from lossbench.race.contestants import Contest, contests
from lossbench.race.decide import Race, Rules, Values, race
from lossbench.race.outcome import as_it_began, told, told_at_start, write_race
from lossbench.records import record
from lossbench.records.schema import Record
from lossbench.running.launch import conclude, run_round, say_where_to_look
from lossbench.running.workers import start_forkserver, stop_forkserver
from lossbench.tracking.repair import mend_cells
from lossbench.tracking.store import prepare, set_environment
from lossbench.tracking.sweep import close_parents, open_parents

GOES_ON = "The same command again goes on with the same decisions."


def run_races(cells: Sequence[Cell], engine: str, rules: Rules, avoided: Iterable[int] = ()) -> int:
    """Run a race for each problem of a command, one after the other, then compare all runs; return the exit code.

    Parameters
    ----------
    cells : sequence of Cell
        Checked cells of the seeds that the races begin with.
    engine : str
        Which one runs the cells, as `lossbench.config.engines.engine_of` says.
    rules : Rules
        How they are run.
    avoided : iterable of int
        Seeds that no race uses.

    Raises
    ------
    ConfigError
        If the store can't be used, parts of a cell do not fit together, or no run has the metric.
    Killed
        If the command is stopped; the runs that were at work are recorded.

    """
    planned = [as_it_began(contest) for contest in contests(cells, rules, avoided)]
    workers = _Workers(planned, engine)
    done: list[Cell] = []
    try:
        for contest in planned:
            ended = _run_race(contest, workers)
            if ended is None:
                return 1
            done += [contest.cell(label, seed) for label, n in ended.ran.items() for seed in contest.seeds[:n]]
        return _conclude(done, workers)
    except Killed as killed:
        raise Killed(killed.exit_code - 128, GOES_ON) from None
    finally:
        workers.stop()


class _Workers:
    """What runs the rounds; nothing is started before something is to be run."""

    def __init__(self, planned: Sequence[Contest], engine: str) -> None:
        self._planned, self._engine, self.started = planned, engine, False

    @property
    def warm(self) -> bool:
        """Whether there are processes that have everything imported."""
        return self.started and self._engine != "single"

    def run(self, cells: list[Cell]) -> None:
        """Run some cells."""
        if not self.started:
            firsts = [each.cell(label, each.seeds[0]) for each in self._planned for label in each.contestants]
            if self._engine != "single":
                set_environment(firsts[0].config.tracking)
                start_forkserver()
            prepare(firsts)
            self.started = True
        run_round(cells, self._engine)

    def stop(self) -> None:
        """End the processes, if there are any."""
        if self.warm:
            stop_forkserver()


def _run_race(contest: Contest, workers: _Workers) -> Race | None:
    """Run a race to its end; return how it ended, None if a run failed."""
    print(told_at_start(contest), file=sys.stderr)
    values: dict[str, dict[int, float]] = {label: {} for label in contest.contestants}
    shown = 0
    while True:
        found = race(values, contest.seeds, contest.rules)
        for line in told(found, values, contest, since=shown):
            print(line, flush=True)
        if len(found.looks) > shown:
            shown = len(found.looks)
            write_race(found, values, contest, picture=not found.missing)
        if not found.missing:
            return found
        wanted = {(label, seed): contest.cell(label, seed) for label, seeds in found.missing.items() for seed in seeds}
        if missing := [cell for cell in wanted.values() if not record.is_done(record.read(cell.path))]:
            workers.run(missing)  # the others are there: of this race, or of a sweep before it
        entries = [record.read(cell.path) for cell in wanted.values()]
        for ((label, seed), cell), entry in zip(wanted.items(), entries, strict=True):
            if entry is None or not record.is_done(entry):
                print(
                    f"failed: {cell.data} {cell.name} ({cell.path}). A race needs every run that it asks for. The same "
                    "command again begins with those that failed.",
                    file=sys.stderr,
                )
                return None
            values[label][seed] = _value(entry, contest)
        _require_a_metric(values, entries, contest)


def _value(entry: Record, contest: Contest) -> float:
    if entry["status"] != "finished":
        return math.nan
    select = contest.any_cell.config.compare.select
    return test_metrics(entry, select, contest.metric).get(contest.metric, math.nan)


def _require_a_metric(values: Values, entries: Sequence[Record | None], contest: Contest) -> None:
    """Refuse a metric that no run has; a loss that diverges has none, but the others do."""
    finished = [entry for entry in entries if entry is not None and entry["status"] == "finished"]
    if not finished or any(math.isfinite(value) for found in values.values() for value in found.values()):
        return
    known = test_metrics(finished[0], contest.any_cell.config.compare.select, contest.metric)
    raise ConfigError(
        f"compare.metric={contest.metric} was not recorded for data={contest.any_cell.data}. "
        f"{nearest(contest.metric, known)}"
    )


def _conclude(cells: list[Cell], workers: _Workers) -> int:
    """Compare all runs of the races as those of one sweep, on the terminal, in a report and in MLflow."""
    entries = [record.read(cell.path) for cell in cells]
    parents = open_parents(cells) if workers.started else {}
    folders: dict[str, list[Path]] = {}
    try:
        folders = conclude(cells, entries, warm=workers.warm)
    finally:
        close_parents(parents, "finished", folders, str(cells[0].config.tracking.uri))
    mend_cells(cells, entries, folders)
    say_where_to_look(cells[0], parents)
    return 0 if all(entry is not None and entry["status"] == "finished" for entry in entries) else 1
