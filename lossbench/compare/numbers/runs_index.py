"""An index of the runs of an output folder: what their records say, in one file that is read in a moment.

It is a convenience. The records are the truth: a row counts as long as its record has the time and size that it had
when it was read, everything else is read again. An index that is broken, of another version, or that can't be written,
costs time and nothing else. It holds plain data.
"""

import json
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lossbench import __version__
from lossbench.compare.numbers.runs import FIRST, LAST, Row, all_selections, facts_of_run
from lossbench.errors import DiskFull
from lossbench.records import files, record
from lossbench.records.schema import Record

FILE = ".runs.parquet"
"""In the output folder."""
LAYOUT = f"1 of lossbench {__version__}"
RECENT_NS = 2 * 10**9
"""A record so much younger than the index, or less, may have changed within the same tick of a coarse clock."""
_LIGHT = {"folder": pa.string(), "time": pa.int64(), "size": pa.int64(), "facts": pa.string(), "metrics": pa.string()}
_HISTORY = {"names": pa.list_(pa.string()), "epochs": pa.list_(pa.int32()), "values": pa.list_(pa.float64())}
"""Of each run the metrics of its history, its epochs, and the values: those of the first metric, then the next."""
SCHEMA = pa.schema({**_LIGHT, **_HISTORY}, metadata={"layout": LAYOUT})

_ALWAYS = {*FIRST, *LAST} - {"epoch"}
"""What each row has, be it None."""

Stamps = dict[str, tuple[int, int]]
"""Time and size of each record by the folder of its run in the output folder, "DATA/NAME"."""


def read_runs(output_dir: Path, select: str, histories: bool = False) -> tuple[list[Row], pa.Table]:
    """Read what the records of an output folder say, in the order of their paths.

    Parameters
    ----------
    output_dir : Path
        The folder; its index is made or brought up to date.
    select : str
        One of `SELECTIONS`.
    histories : bool
        Whether the columns of the histories are wanted.

    Returns
    -------
    list of dict, Table
        The row of each run with the metrics of the selection, `folder` as "DATA/NAME"; and in the same order the
        columns of the index, see `_HISTORY`.

    """
    table = _up_to_date(output_dir, histories)
    try:
        return _rows(table, select), table
    except (ValueError, TypeError, KeyError):  # an index with something else in it
        table = _up_to_date(output_dir, histories, anew=True)
        return _rows(table, select), table


def _rows(table: pa.Table, select: str) -> list[Row]:
    columns = [table[name].to_pylist() for name in ("folder", "facts", "metrics")]
    rows = [
        {**json.loads(facts), "folder": folder, **json.loads(found)[select]}
        for folder, facts, found in zip(*columns, strict=True)
    ]
    if not all(row.keys() >= _ALWAYS for row in rows):
        raise KeyError("a row lacks what each has")
    if "values" in table.column_names:
        names, epochs, values = (pc.list_value_length(table[name]).to_numpy() for name in _HISTORY)
        if not (names * epochs == values).all():
            raise ValueError("a history lacks values")
    return rows


def _up_to_date(output_dir: Path, histories: bool, anew: bool = False) -> pa.Table:
    path, stamps = output_dir / FILE, _stamps(output_dir)
    names = [*_LIGHT, *(_HISTORY if histories else ())]
    if anew:
        kept, whole = (SCHEMA.empty_table().select(each) for each in (names, SCHEMA.names))
    else:
        kept, whole = _kept(path, stamps, names), None
    missing = sorted(set(stamps) - set(kept["folder"].to_pylist()), key=_by_path)
    made = _made(output_dir, missing, stamps)
    if len(made) or len(kept) < _length(path):
        whole = pa.concat_tables([_kept(path, stamps, SCHEMA.names) if whole is None else whole, made])
        with suppress(OSError, DiskFull):  # a folder that can only be read
            files.replace(path, lambda half: pq.write_table(whole, half, compression="zstd"))
        kept = whole.select(names)
    order = sorted(range(len(kept)), key=[_by_path(folder) for folder in kept["folder"].to_pylist()].__getitem__)
    return kept if order == list(range(len(kept))) else kept.take(order)


def _stamps(output_dir: Path) -> Stamps:
    found = {}
    for data in _folders(output_dir):
        for run in _folders(Path(data.path)):
            with suppress(OSError):
                seen = (Path(run.path) / record.FILE).stat()
                found[f"{data.name}/{run.name}"] = seen.st_mtime_ns, seen.st_size
    return found


def _folders(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from (entry for entry in entries if entry.is_dir())


def _by_path(folder: str) -> tuple[str, ...]:
    return tuple(folder.split("/"))


def _length(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, ValueError, pa.ArrowException):
        return 0


def _kept(path: Path, stamps: Stamps, names: list[str]) -> pa.Table:
    """Return the rows of an index that are still true; none where it can't be read."""
    nothing = SCHEMA.empty_table().select(names)
    try:
        made = path.stat().st_mtime_ns
        table = pq.read_table(path, columns=names)
        if table.schema.metadata != SCHEMA.metadata or not table.schema.equals(nothing.schema):
            return nothing
        keys = zip(*(table[name].to_pylist() for name in ("folder", "time", "size")), strict=True)
        kept, seen = [], set()
        for place, (folder, time, size) in enumerate(keys):
            if stamps.get(folder) == (time, size) and time < made - RECENT_NS and folder not in seen:
                kept.append(place)
                seen.add(folder)
        table = table if len(kept) == len(table) else table.take(kept)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return nothing
    return table


def _made(output_dir: Path, folders: Iterable[str], stamps: Stamps) -> pa.Table:
    """Read records anew."""
    rows = []
    for folder in folders:
        entry = record.read(output_dir / folder)
        if entry is not None:
            time, size = stamps[folder]
            facts, metrics = json.dumps(facts_of_run(entry)), json.dumps(all_selections(entry))
            rows.append(
                {"folder": folder, "time": time, "size": size, "facts": facts, "metrics": metrics, **_history(entry)}
            )
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _history(entry: Record) -> dict[str, Any]:
    """Return the history of a run as columns; nan where an epoch lacks a metric."""
    history = entry.get("history") or []
    names = list(dict.fromkeys(name for row in history for name in row if "/" in name))
    values = [_value(row.get(name)) for name in names for row in history]
    return {"names": names, "epochs": [row.get("epoch", at) for at, row in enumerate(history)], "values": values}


def _value(found: Any) -> float:
    return float(found) if isinstance(found, int | float) else math.nan
