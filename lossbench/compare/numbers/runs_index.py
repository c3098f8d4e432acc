"""An index of the runs of an output folder: what their records say, in one file that is read in a moment.

It is a convenience. The records are the truth: a row counts as long as its record has the time and size that it had
when it was read, everything else is read again. An index that is broken, of another version, or that can't be written,
costs time and nothing else. It holds plain data.
"""

import json
import math
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
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
"""A record that is no older than this when it is read may change within the same tick of a coarse clock."""
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
    path, begun, stamps = output_dir / FILE, time.time_ns(), _stamps(output_dir)
    names = [*_LIGHT, *(_HISTORY if histories else ())]
    table, is_true = _kept(path, {} if anew else stamps, names)
    if not is_true or len(table) < len(stamps):
        kept, is_true = _kept(path, {} if anew else stamps, SCHEMA.names)
        missing = sorted(set(stamps) - set(kept["folder"].to_pylist()), key=_by_path)
        made = _made(output_dir, missing, stamps)
        whole = pa.concat_tables([kept, made])
        if len(made) or not is_true:
            with suppress(OSError, DiskFull):  # a folder that can only be read
                files.replace(path, lambda half: _write(whole, half, begun))
        table = whole.select(names)
    order = sorted(range(len(table)), key=[_by_path(folder) for folder in table["folder"].to_pylist()].__getitem__)
    return taken(table, order)


def _write(table: pa.Table, half: Path, begun: int) -> None:
    """Write an index with the time when reading was begun: of younger records it may not know all."""
    pq.write_table(table, half, compression="zstd")
    os.utime(half, ns=(begun, begun))


def taken(table: pa.Table, places: list[int]) -> pa.Table:
    """Return some rows of a table, which is not copied where these are all in their order."""
    return table if places == list(range(len(table))) else table.take(pa.array(places, pa.int64()))


def _stamps(output_dir: Path) -> Stamps:
    found = {}
    for data in _folders(output_dir):
        for run in _folders(Path(data.path)):
            with suppress(OSError):
                seen = (Path(run.path) / record.FILE).stat()
                found[f"{data.name}/{run.name}"] = seen.st_mtime_ns, seen.st_size
    return found


def _folders(folder: Path) -> Iterator[os.DirEntry[str]]:
    with suppress(OSError), os.scandir(folder) as entries:  # one that may not be read has no runs
        yield from (entry for entry in entries if entry.is_dir())


def _by_path(folder: str) -> tuple[str, ...]:
    return tuple(folder.split("/"))


def _kept(path: Path, stamps: Stamps, names: list[str]) -> tuple[pa.Table, bool]:
    """Return the rows of an index that are still true, none where it can't be read, and whether all are."""
    nothing = SCHEMA.empty_table().select(names)
    try:
        begun = path.stat().st_mtime_ns
        table = pq.read_table(path, columns=names)
        if table.schema.metadata != SCHEMA.metadata or not table.schema.equals(nothing.schema):
            return nothing, False
        keys = zip(*(table[name].to_pylist() for name in ("folder", "time", "size")), strict=True)
        kept = {
            folder: place
            for place, (folder, seen, size) in enumerate(keys)
            if stamps.get(folder) == (seen, size) and seen < begun - RECENT_NS
        }
        return (table, True) if len(kept) == len(table) else (taken(table, [*kept.values()]), False)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return nothing, False


def _made(output_dir: Path, folders: Iterable[str], stamps: Stamps) -> pa.Table:
    """Read records anew."""
    rows = []
    for folder in folders:
        entry = record.read(output_dir / folder)
        if entry is not None:
            seen, size = stamps[folder]
            facts, metrics = json.dumps(facts_of_run(entry)), json.dumps(all_selections(entry))
            rows.append(
                {"folder": folder, "time": seen, "size": size, "facts": facts, "metrics": metrics, **_history(entry)}
            )
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _history(entry: Record) -> dict[str, Any]:
    """Return the history of a run as columns; nan where an epoch lacks a metric."""
    history = [row for row in entry.get("history") or [] if row]
    names = list(dict.fromkeys(name for row in history for name in row if "/" in name))
    columns = ([row.get(name) for row in history] for name in names)
    values = [each if isinstance(each, float) else _number(each) for column in columns for each in column]
    epochs = [row.get("epoch") for row in history]
    numbered = [epoch if isinstance(epoch, int) else place for place, epoch in enumerate(epochs)]
    return {"names": names, "epochs": numbered, "values": np.array(values, dtype=np.float64)}


def _number(found: Any) -> float:
    return float(found) if isinstance(found, int) else math.nan
