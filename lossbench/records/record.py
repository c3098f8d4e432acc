"""What a run leaves behind: files that are whole or not there, and the record that says how the run ended."""

import json
import logging
import math
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from lossbench.errors import ConfigError, DiskFull, Diverged, Killed, first_line
from lossbench.records.files import write_text
from lossbench.records.schema import SCHEMA, Record, brought_up_to_date, task_of

log = logging.getLogger(__name__)
FILE = "record.json"
DONE = ("finished", "diverged")
"""How a run ends that need not run again."""
_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("key", "problem", "name", "status", "loss", "task"), str), "seed": int, "choices": dict,
    "config": dict, "metrics": dict,
}  # fmt: skip


def write(folder: Path, record: Record) -> None:
    """Write the record of a run into its folder; numbers that JSON lacks (nan, inf) become null."""
    values = (f"  {json.dumps(name)}: {_written(value)}" for name, value in _without_nan(record).items())
    write_text(folder / FILE, "{\n" + ",\n".join(values) + "\n}\n")


def _written(value: Any) -> str:
    """Write a field for people too: what has names by lines, of a list of rows one a line."""
    if isinstance(value, list) and any(isinstance(row, dict | list) for row in value):
        rows = ",\n".join(f"    {json.dumps(row, allow_nan=False)}" for row in value)
        return f"[\n{rows}\n  ]"
    return json.dumps(value, indent=2, allow_nan=False).replace("\n", "\n  ")


def write_or_remove(folder: Path, record: Record) -> None:
    """Write a record, or where the disk is full, remove the one that says that the run goes on."""
    try:
        write(folder, record)
    except DiskFull:
        (folder / FILE).unlink(missing_ok=True)


def read(folder: Path) -> Record | None:
    """Read the record of a run, or None where there is none; one that is broken is told and left out."""
    path = folder / FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        _tell_broken(path, f"it can't be read ({first_line(error)})")
        return None
    if wrong := _what_is_wrong(record):
        _tell_broken(path, wrong)
        return None
    return brought_up_to_date(record)


def _what_is_wrong(record: Any) -> str:
    """Say what a record lacks of what is read of every one, "" if nothing."""
    if not isinstance(record, dict):
        return "it is no record"
    for name, kind in _KINDS.items():
        if not isinstance(record.get(name), kind):
            return f"{name!r} is {'missing' if name not in record else 'not what it should be'}"
    if record.get("schema", 1) > SCHEMA:
        return f"its schema is {record['schema']}, of a newer lossbench; this one reads up to {SCHEMA}"
    parts = [record["config"].get("loss"), *record["metrics"].values(), *record.get("history", [])]
    if not all(part is None or isinstance(part, dict) for part in parts) or "data" not in record["choices"]:
        return "its 'config', 'choices', 'metrics' or 'history' are not what they should be"
    return ""


@cache
def _tell_broken(path: Path, wrong: str) -> None:
    log.warning("%s is broken: %s. It is left out; the command that made the run trains it again.", path, wrong)


def is_done(record: Record | None) -> bool:
    """Tell whether a run has ended in a way that need not be repeated."""
    return record is not None and record["status"] in DONE


def read_all(output_dir: Path) -> Iterator[tuple[Path, Record]]:
    """Read the record of every run of an output folder, in the order of their paths."""
    broken = 0
    for path in sorted(output_dir.glob(f"*/*/{FILE}")):
        record = read(path.parent)
        broken += record is None
        if record is not None:
            yield path.parent, record
    if broken:
        log.warning("%d records under %s/ are broken and left out.", broken, output_dir)


def summary(record: Record) -> str:
    """Say in one line how a run ended."""
    seconds = record.get("cost", {}).get("seconds")
    metric = task_of(record).columns[0]
    value = (record["metrics"]["last"] or {}).get(f"test/{metric}")
    shown = [f"test/{metric} {value:.4f} at the last epoch"] if value is not None else []
    return ", ".join([record["status"], *shown, *([f"{seconds:.1f} s"] if seconds is not None else [])])


def ending_of(error: BaseException) -> Record:
    """Say in the words of a record how a run ended that raised an error."""
    if isinstance(error, Diverged):
        return {
            "status": "diverged",
            "error": str(error),
            "diverged": {"epoch": error.epoch, "step": error.step},
        }
    if isinstance(error, Killed):
        return {"status": "killed", "error": str(error), "signal": error.exit_code - 128}
    if isinstance(error, ConfigError | DiskFull):
        return {"status": "failed", "error": str(error)}
    told = "".join(traceback.format_exception(error))
    return {"status": "failed", "error": f"{type(error).__name__}: {error}", "traceback": told}


@contextmanager
def told_if_killed(folder: Path) -> Iterator[None]:
    """Let the record of a run that this process holds say "killed" where it would go on saying "running".

    A signal can come at any moment: while a run begins, or while its files are written.
    """
    try:
        yield
    except Killed as error:
        entry = read(folder)
        if entry is not None and entry["status"] == "running":
            write_or_remove(folder, entry | ending_of(error))
        raise


def _without_nan(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(key): _without_nan(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_without_nan(value) for value in node]
    return None if isinstance(node, float) and not math.isfinite(node) else node
