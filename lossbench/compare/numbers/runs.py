"""Runs as data: what a record says of a run as one flat row, and rows as a tidy frame of pandas."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lossbench.catalogue.facts import hyperparameters
from lossbench.compare.numbers.selection import SELECTIONS, chosen_row
from lossbench.config.axes import AXES, additions, after, axes_of
from lossbench.config.tested_epochs import is_sparse
from lossbench.errors import ConfigError
from lossbench.records.schema import Record, task_of

if TYPE_CHECKING:
    from pandas import DataFrame

Row = dict[str, Any]
"""Plain values by column."""
FIRST = (
    "data", "task", "loss", "method", "variant", "seed", *AXES, "model", "head", "status", "error", "epochs", "epoch",
)  # fmt: skip
"""The columns that every frame has, in front; behind the numbers stand `LAST`."""
LAST = ("name", "problem", "key", "folder")
COUNTS = ("seed", "epochs", "epoch")
PARTS = ("test", "val", "train")


def facts_of_run(entry: Record) -> Row:
    """Return what a record says of its run, without metrics: one plain value for each column.

    Parameters
    ----------
    entry : dict
        A record; `folder` is left to those who know where it lies.

    Returns
    -------
    dict
        The columns `FIRST` but `epoch`, `loss.NAME` for each hyper-parameter of the loss, `AXIS.NAME` for those of what
        it is combined with, `cost.NAME`, and `LAST` but `folder`. A list or a mapping is written as JSON.

    """
    choices, config, epochs = entry["choices"], entry["config"], entry.get("epochs") or {}
    axes = axes_of(entry)
    row: Row = {
        "data": choices["data"], "task": entry["task"], "loss": entry["loss"],
        "method": entry["loss"] + additions(axes) + after(entry.get("warm_start")), "variant": entry.get("variant"),
        "seed": entry["seed"], **axes, "model": choices.get("model"), "head": entry.get("head"),
        "status": entry["status"], "error": entry.get("error"),
        "epochs": epochs.get("done", len(entry.get("history") or []) or None),
    }  # fmt: skip
    row |= {f"loss.{name}": _plain(value) for name, value in hyperparameters(config["loss"] or {}).items()}
    for axis in AXES:
        node = config.get(axis)
        known = node.items() if isinstance(node, dict) else ()
        row |= {f"{axis}.{name}": _plain(value) for name, value in known if not str(name).startswith("_")}
    row |= {f"cost.{name}": value for name, value in (entry.get("cost") or {}).items() if _is_number(value)}
    return {**row, "name": entry["name"], "problem": entry["problem"], "key": entry["key"]}


def metrics_of_run(entry: Record, select: str, metric: str | None = None) -> Row:
    """Return the metrics of a run at the epoch that counts as "part/name", and that epoch as "epoch".

    Parameters
    ----------
    entry : dict
        A record.
    select : str
        One of `SELECTIONS`.
    metric : str, optional
        What the oracle picks its epoch by; None: the first of the task. It finds none in a run that has not evaluated
        the test set at each epoch.

    """
    if select == "oracle" and is_sparse(entry):
        return {}
    try:
        row = chosen_row(entry, select, metric or task_of(entry).columns[0])
    except ConfigError:  # a task that is not known here has no best epoch
        return {}
    known = row.get("epoch", (entry.get("epochs") or {}).get(select))
    found = {name: float(value) for name, value in row.items() if "/" in name and _is_number(value)}
    return {"epoch": known, **found} if found else {}


def rows_of(entries: Iterable[Record], select: str, metric: str | None = None) -> list[Row]:
    """Return one row for each record, with the metrics of a selection; see `facts_of_run` and `metrics_of_run`."""
    return [
        {**facts_of_run(entry), "folder": entry.get("folder"), **metrics_of_run(entry, select, metric)}
        for entry in entries
    ]


def frame_of(rows: Sequence[Row]) -> "DataFrame":
    """Make a tidy frame of rows: the columns in reading order, each of one kind.

    Counts are whole numbers that may be missing, metrics and costs floats. A column of a parameter that is a number in
    some rows and a text in others is text in all.

    Examples
    --------
    >>> frame = frame_of([{"loss": "focal", "loss.gamma": 2.0, "test/nll": 0.5}, {"loss": "bce", "loss.w": "auto"}])
    >>> [name for name in frame if name not in FIRST + LAST], frame["test/nll"].tolist()
    (['loss.gamma', 'loss.w', 'test/nll'], [0.5, nan])

    """
    import pandas as pd

    found = dict.fromkeys(name for row in rows for name in row)
    between = sorted((name for name in found if name not in (*FIRST, *LAST)), key=_place)
    frame = pd.DataFrame.from_records(rows, columns=[*FIRST, *between, *LAST])
    kinds: dict[str, Any] = dict.fromkeys(COUNTS, "Int64")
    kinds |= {name: "float64" for name in between if "/" in name or name.startswith("cost.")}
    frame = frame.astype(kinds)
    for name in set(frame) - set(kinds):
        if pd.api.types.infer_dtype(frame[name], skipna=True).startswith("mixed"):
            known = frame[name].notna()
            frame[name] = frame[name].astype(str).where(known, None)
    return frame.copy()  # in one piece: pandas warns of many columns that were made one by one


def all_selections(entry: Record) -> dict[str, Row]:
    """Return the metrics of a run under each of `SELECTIONS`."""
    return {select: metrics_of_run(entry, select) for select in SELECTIONS}


def _place(name: str) -> tuple[int, int, str]:
    """Return where a column stands: parameters, costs, then the metrics, those of the test part first."""
    part = name.partition("/")[0]
    if part == name:
        kinds = ["loss", *AXES, "cost"]
        return 0, kinds.index(kind) if (kind := name.partition(".")[0]) in kinds else len(kinds), name
    return 1, PARTS.index(part) if part in PARTS else len(PARTS), name


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | tuple | Mapping) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
