"""What runs have left, for programs and notebooks: a tidy frame of all of them, and what each one predicted."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from lossbench.compare.numbers.runs import Row, frame_of
from lossbench.compare.numbers.runs_index import read_runs, taken
from lossbench.compare.numbers.selection import SELECTIONS
from lossbench.errors import ConfigError, first_line, nearest
from lossbench.records import record
from lossbench.records.predictions import BEFORE_NAMES, opened, parts_in

if TYPE_CHECKING:
    import pyarrow as pa
    from pandas import DataFrame

OF_LONG = ("data", "task", "loss", "method", "variant", "seed", "status", "folder")
"""What a long frame repeats of a run; `folder` leads to the rest."""


def load_results(
    output_dir: str | Path = "outputs",
    data: str | Collection[str] | None = None,
    select: str = "last",
    long: bool = False,
) -> "DataFrame":
    """Load all runs of an output folder as a tidy frame of pandas.

    The first call reads every record and leaves an index, `.runs.parquet`, in the folder; later ones read what has
    changed since. Where the folder can't be written it is read each time.

    Parameters
    ----------
    output_dir : str or Path
        Where runs were written, `output_dir` of their command.
    data : str or collection of str, optional
        Only the runs on these data; None: all.
    select : str
        The epoch whose metrics a run gets: "last", "best_val" (best validation epoch), "best_clean_val" (best by clean
        validation targets, which nobody has in practice) or "oracle" (best on the test set by the first metric of the
        task: an upper bound and not a result).
    long : bool
        Whether to return the histories: `select` does not matter then.

    Returns
    -------
    DataFrame
        One row a run: data, task, loss, method (the loss and what is combined with it), variant, seed, the axes, model,
        head, status, error, epochs (done) and epoch (whose metrics these are, from 0); the parameters as `loss.gamma`,
        `weighting.beta`; `cost.seconds` ...; each metric as `test/accuracy`; name, problem (runs that may be compared
        share it), key and folder. What a run lacks is missing; `status` says whether it has finished.

        With `long` one row for each run, epoch and metric that has a finite value: what tells the run, epoch, metric
        and value.

    Raises
    ------
    ConfigError
        If there is no such folder, no run in it, none on the data that are asked for, or no such selection.

    Examples
    --------
    >>> load_results("no_such_folder")
    Traceback (most recent call last):
        ...
    lossbench.errors.ConfigError: output_dir=no_such_folder: no such folder.

    """
    folder = Path(output_dir)
    if select not in SELECTIONS:
        raise ConfigError(f"select={select} is not known. {nearest(str(select), SELECTIONS)}")
    if not folder.is_dir():
        raise ConfigError(f"output_dir={output_dir}: no such folder.")
    rows, table = read_runs(folder, select, histories=long)
    if not rows:
        raise ConfigError(_no_runs(folder))
    wanted = {data} if isinstance(data, str) else None if data is None else set(data)
    known = {row["data"] for row in rows}
    for name in sorted(wanted - known if wanted is not None else ()):
        raise ConfigError(f"no runs of data={name} under {folder}/. {nearest(name, known)}")
    places = [at for at, row in enumerate(rows) if wanted is None or row["data"] in wanted]
    rows = [{**rows[at], "folder": str(folder / rows[at]["folder"])} for at in places]
    return _long(rows, taken(table, places)) if long else frame_of(rows)


def _no_runs(folder: Path) -> str:
    if any(folder.glob(f"*/{record.FILE}")):
        return f"no runs under {folder}/: it holds those of one data set. Give {folder.parent}, data={folder.name}."
    if (folder / record.FILE).is_file():
        return f"no runs under {folder}/: it is that of a run. Give the folder of all data, {folder.parent.parent}."
    return f"no runs under {folder}/: they lie in folders DATA/NAME in it."


def _long(rows: list[Row], histories: "pa.Table") -> "DataFrame":
    """Return a row for each run, epoch and metric; texts that repeat are categories, so that millions of rows fit."""
    import pandas as pd

    values = histories["values"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    codes: dict[str, int] = {}
    of_names, of_epochs, lengths = [np.empty(0, "int32")], [np.empty(0, "int64")], []
    for names, epochs in zip(histories["names"].to_pylist(), histories["epochs"].to_pylist(), strict=True):
        of_names.append(np.repeat([codes.setdefault(name, len(codes)) for name in names], len(epochs)).astype("int32"))
        of_epochs.append(np.tile(np.asarray(epochs, dtype="int64"), len(names)))
        lengths.append(len(names) * len(epochs))
    run = np.repeat(np.arange(len(rows)), np.asarray(lengths, dtype=int))
    finite = np.isfinite(values)
    columns: dict[str, Any] = {}
    for name in OF_LONG:
        given = pd.Series([row[name] for row in rows])
        columns[name] = (given if name == "seed" else given.astype("category")).take(run[finite]).array
    columns["epoch"] = np.concatenate(of_epochs)[finite]
    columns["metric"] = pd.Categorical.from_codes(np.concatenate(of_names)[finite], list(codes))
    return pd.DataFrame({**columns, "value": values[finite]})


def load_predictions(
    folder: str | Path, which: Literal["last", "best", "validation"] = "last"
) -> dict[str, NDArray[Any]]:
    """Load what a run has predicted.

    Parameters
    ----------
    folder : str or Path
        The folder of the run, as in the column `folder` of `load_results`.
    which : str
        "last": the test set at the last epoch; "best": at the best validation epoch; "validation": the validation part.

    Returns
    -------
    dict of str to array
        By name, such as `probabilities` (N, K) and `target` (N,); which there are depends on the task. Plain numbers
        and texts: a file with objects, which would run code, is refused.

    Raises
    ------
    ConfigError
        If there is no such folder, file or choice, or the file can't be read.

    """
    place = Path(folder)
    if which not in BEFORE_NAMES:
        raise ConfigError(f"which={which} is not known. {nearest(str(which), BEFORE_NAMES)}")
    if not place.is_dir():
        raise ConfigError(f"{folder}: no such folder. Give that of a run, such as outputs/digits/focal-s0-0a1b2c3d.")
    try:
        with opened(place, which) as arrays:
            return dict(arrays)
    except FileNotFoundError:
        entry, there = record.read(place), ", ".join(parts_in(place)) or "none"
        why = "it is no folder of a run" if entry is None else f"the run is {entry['status']}"
        kept = (entry or {}).get("config", {}).get("keep")
        why += f", with keep=[{', '.join(kept)}]" if kept is not None and "predictions" not in kept else ""
        raise ConfigError(f"{folder} has no predictions of which={which}: {why}. Which are there: {there}.") from None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, AttributeError) as error:
        raise ConfigError(f"{place}: {which} can't be read as plain arrays ({first_line(error)}).") from error
