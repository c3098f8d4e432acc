"""The command line: Hydra in, exit code out.

0: every run finished. 1: a run failed or diverged. 2: the command can't work; nothing was started. 130, 143: stopped by
Ctrl-C or SIGTERM. Torch is imported when the first run starts, not before.
"""

import signal
import sys
from pathlib import Path
from typing import Any

from hydra._internal.utils import get_args_parser

from lossbench import progress, record
from lossbench.cells import Cell, compose_cells, put_user_code_on_path
from lossbench.checks import check
from lossbench.errors import ConfigError, Killed
from lossbench.job import run_job


def main() -> None:
    """Run what the command line asks for, and exit."""
    arguments = get_args_parser().parse_args()
    looks_only = arguments.help or arguments.hydra_help or arguments.cfg or arguments.info or arguments.shell_completion
    put_user_code_on_path(arguments)
    if looks_only:
        run_job()
        return
    try:
        cells = compose_cells(arguments)
        check(cells)
        sys.exit(launch(cells))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except Killed as killed:
        sys.exit(killed.exit_code)


def launch(cells: list[Cell]) -> int:
    """Run checked cells through Hydra's launcher and tell how they ended; return the exit code."""
    from lossbench import tracking

    print(f"lossbench: {_counted(cells)}; results go to {cells[0].config.output_dir}/", file=sys.stderr)
    tracking.prepare(cells)
    parents = tracking.open_parents(cells) if len(cells) > 1 else {}
    status = "failed"
    with _signals():
        try:
            with progress.showing(len(cells)):
                run_job()
            status = "finished"
        except Killed:
            status = "killed"
            raise
        finally:
            pages = {} if status == "failed" else conclude(cells)
            tracking.close_parents(cells, parents, status, pages)
    return 0 if all(_status(cell) == "finished" for cell in cells) else 1


def conclude(cells: list[Cell]) -> dict[str, Path]:
    """Print how the cells ended, and for a sweep the table of each problem; return the folders of the tables."""
    ended = {cell: _status(cell) for cell in cells}
    for cell, status in ended.items():
        if status != "finished":
            entry = record.read(cell.path) or {}
            print(
                f"{status}: {cell.data} {cell.name}: {entry.get('error', 'not started')}  ({cell.path})",
                file=sys.stderr,
            )
    done = sum(status in record.DONE for status in ended.values())
    if done < len(cells):
        print(f"{done} of {len(cells)} runs are done. The same command again runs only the others.", file=sys.stderr)
    folders = {}
    if len(cells) > 1:
        from lossbench.compare import compare_cells

        folders = compare_cells(cells)
    elif done:
        print(f"The record is in {cells[0].path}/")
    _print_next(cells[0])
    return folders


def _print_next(cell: Cell) -> None:
    uri = cell.config.tracking.uri
    if uri is not None and uri.startswith("http"):
        print(f"Look at the runs: {uri}")
    elif uri is not None:
        print(f"Look at the runs: mlflow ui --backend-store-uri {uri}")


def _status(cell: Cell) -> str:
    entry = record.read(cell.path)
    return "missing" if entry is None else str(entry["status"])


def _counted(cells: list[Cell]) -> str:
    counts: dict[str, set[Any]] = {
        "problem": {cell.data for cell in cells},
        "loss": {(cell.loss, cell.weighting) for cell in cells},
        "seed": {cell.config.seed for cell in cells},
    }
    plural = {"problem": "problems", "loss": "losses", "seed": "seeds"}
    shown = [f"{len(values)} {plural[word] if len(values) > 1 else word}" for word, values in counts.items()]
    return f"{len(cells)} run{'s' if len(cells) > 1 else ''} ({', '.join(shown)})"


class _signals:  # noqa: N801
    """Raise `Killed` on Ctrl-C and SIGTERM while runs are going on."""

    def __enter__(self) -> None:
        self._before = {number: signal.signal(number, self._raise) for number in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @staticmethod
    def _raise(number: int, _frame: Any) -> None:
        raise Killed(number)


if __name__ == "__main__":
    main()
