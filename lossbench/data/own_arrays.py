"""Arrays of the user's own, `X` and `y` of an `.npz` or a `.pt`; neither is read in a way that could run code."""

import pickle
import zipfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from lossbench.data.corruptions import Array
from lossbench.data.files import DataError
from lossbench.data.own_columns import Column
from lossbench.data.own_parts import Prepared, Wanted, groups_of, ids_of, lacking, said_of, test_rows, weights_of
from lossbench.data.own_targets import Target, like, missing_in, read_target, require_two_of_each, seen_as, tells
from lossbench.errors import first_line, nearest

ENDINGS = (".npz", ".pt")
CHANNELS = (1, 3, 4)
"""Of images: grey, colours, colours with how opaque they are."""
WANTED = "X (N, ...) and y (N,), and if wanted X_test and y_test"


def task_seen(wanted: Wanted) -> tuple[str, str]:
    """Return the task of arrays by a look at `y`, and what shows it.

    Raises
    ------
    DataError
        If there is no such file or array, or it is nothing that can be learned.

    """
    with said_of(f"data.path={wanted.path}"):
        return seen_as(_target_columns("y", _read(wanted.path)["y"]))


@lru_cache(maxsize=2)
def prepare(wanted: Wanted) -> Prepared:
    """Read arrays, and make inputs and targets of them.

    Inputs are standardised by feature, or by channel where they are images (N, C, H, W); images of bytes stay bytes.

    Raises
    ------
    DataError
        If the file can't be read, an array is not there, or nothing can be learned of what is there.

    """
    with said_of(f"data.path={wanted.path}"):
        arrays = _read(wanted.path)
        parted = "X_test" in arrays
        columns = _target_columns("y", arrays["y"])
        known = np.flatnonzero(~missing_in(columns))
        columns = {name: each.take(known) for name, each in columns.items()}
        task, why = seen_as(columns)
        target = read_target(columns, wanted.task, known)
        inputs = _inputs("X", arrays)[known]
        said = [f"{len(arrays['X']):,} samples of shape {inputs.shape[1:]}; y is {tells(target, task, why)}"]
        if channels_last(arrays["X"].shape):
            said.append(f"X has shape {arrays['X'].shape}, channels last: they are put before the pixels")
        if len(known) < len(arrays["y"]):
            said.append(lacking(len(arrays["y"]) - len(known), "sample"))
        given = {key: name for key in ("weight", "group", "id") if (name := getattr(wanted, key)) is not None}
        extra = {key: _of_samples(name, arrays, len(arrays["y"])).take(known) for key, name in given.items()}
        if parted:
            parts, targets, extras = _with_test(wanted, arrays, columns, inputs, target, extra)
        else:
            require_two_of_each(target, "y", known)
            group = groups_of(extra["group"])[0] if "group" in extra else None
            tested = test_rows(target, float(wanted.test), group)
            rows = (np.delete(np.arange(len(known)), tested), tested)
            parts = [inputs[each] for each in rows]
            targets = [target._replace(values=target.values[each]) for each in rows]
            extras = [{key: column.take(each) for key, column in extra.items()} for each in rows]
        scale, mean, std = _standardised(parts[0])
        made = _extras(given, extras)
    sizes = {"train": len(parts[0]), "test": len(parts[1])}
    said[0] += f"; {sizes['train']:,} to train, {sizes['test']:,} to test"
    facts = {"arrays": {name: list(each.shape) for name, each in arrays.items()}, "rows": sizes, "told": said}
    return Prepared([*map(scale, parts)], targets, made, mean=mean, std=std, facts=facts, told=said)


def _with_test(
    wanted: Wanted,
    arrays: Mapping[str, Array],
    columns: Mapping[str, Column],
    inputs: Array,
    target: Target,
    extra: Mapping[str, Column],
) -> tuple[list[Array], list[Target], list[Mapping[str, Column]]]:
    """Return both parts of a file that has them."""
    tests = _inputs("X_test", arrays)
    if tests.shape[1:] != inputs.shape[1:] or tests.dtype != inputs.dtype:
        raise DataError(f"X has samples of shape {inputs.shape[1:]}, X_test of {tests.shape[1:]}, or other types.")
    of_test = _target_columns("y", arrays["y_test"])
    if len(of_test) == len(columns):  # those of several numbers may look like labels in a small part
        of_test = dict(zip(columns, of_test.values(), strict=True))
    if len(gaps := np.flatnonzero(missing_in(of_test))):
        raise DataError(f"y_test has no value for sample {gaps[0]}.")
    further = {}
    for key in extra:
        if key != "weight":
            further[key] = _of_samples(f"{getattr(wanted, key)}_test", arrays, len(tests))
    return [inputs, tests], [target, like(target, columns, of_test, wanted.task)], [extra, further]


def _extras(given: Mapping[str, str], extras: list[Mapping[str, Column]]) -> list[dict[str, Array]]:
    made: list[dict[str, Array]] = [{}, {}]
    if "weight" in given:
        made[0]["weight"] = weights_of(extras[0]["weight"], given["weight"])
    if "group" in given:
        for part, numbers in zip(made, groups_of(*(each["group"] for each in extras)), strict=True):
            part["group"] = numbers
    if "id" in given:
        for part, each in zip(made, extras, strict=True):
            part["id"] = ids_of(each["id"], given["id"])
    return made


def _read(path: str) -> dict[str, Array]:
    """Read the arrays of a file by name.

    Raises
    ------
    DataError
        If it is no file of arrays, or lacks one.

    """
    place = Path(path).expanduser()
    if not place.is_file() or place.suffix.lower() not in ENDINGS:
        ends = f"it ends with {place.suffix or 'nothing'}"
        what = ends if place.is_file() else f"there is no file at {place.absolute()}"
        raise DataError(f"{what}. It is to be a file {' or '.join(ENDINGS)} with {WANTED}.")
    try:
        arrays = _npz(place) if place.suffix.lower() == ".npz" else _pt(place)
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, pickle.UnpicklingError) as error:
        raise DataError(f"it can't be read without running code of it: {first_line(error)[:200]}") from error
    wanted = ["X", "y", *(["X_test", "y_test"] if {"X_test", "y_test"} & set(arrays) else [])]
    if lacking := [name for name in wanted if name not in arrays]:
        raise DataError(f"it has no {lacking[0]}. {nearest(lacking[0], arrays)} It is to have {WANTED}.")
    for inputs, target in zip(wanted[::2], wanted[1::2], strict=True):
        if not arrays[inputs].ndim or not arrays[target].ndim or len(arrays[inputs]) != len(arrays[target]):
            shapes = f"{arrays[inputs].shape} and {arrays[target].shape}"
            raise DataError(f"{inputs} and {target} have shapes {shapes}: a sample of each belongs together.")
        if not len(arrays[inputs]):
            raise DataError(f"{inputs} has no samples.")
    return arrays


def _npz(place: Path) -> dict[str, Array]:
    with np.load(place, allow_pickle=False) as opened:
        return {name: opened[name] for name in opened.files}


def _pt(place: Path) -> dict[str, Array]:
    import torch

    held: Any = torch.load(place, map_location="cpu", weights_only=True)
    if not isinstance(held, Mapping):
        raise DataError(f"it holds a {type(held).__name__}. It is to hold a dict with {WANTED}.")
    tensors = {str(name): each for name, each in held.items() if isinstance(each, torch.Tensor)}
    return {name: (each.float() if each.dtype == torch.bfloat16 else each).numpy() for name, each in tensors.items()}


def channels_last(shape: tuple[int, ...]) -> bool:
    """Tell whether inputs of a shape are images (N, H, W, C): 1, 3 or 4 at the end, and not where channels belong.

    Examples
    --------
    >>> channels_last((60, 32, 32, 3)), channels_last((60, 3, 32, 32)), channels_last((60, 3, 4, 4))
    (True, False, False)

    """
    return len(shape) == 4 and shape[3] in CHANNELS and shape[1] not in CHANNELS


def _inputs(name: str, arrays: Mapping[str, Array]) -> Array:
    """Return inputs as numbers: a vector gets a feature, a grey image a channel, channels come before the pixels."""
    inputs = arrays[name]
    if inputs.dtype.kind not in "fiub" or inputs.ndim > 4:
        raise DataError(
            f"{name} has type {inputs.dtype} and shape {inputs.shape}. It is to hold numbers, (N, F) or (N, C, H, W)."
        )
    if len(wrong := np.argwhere(~np.isfinite(inputs))):
        place = wrong[0].tolist()
        raise DataError(f"{name}{place} is {inputs[tuple(place)]}: sample {place[0]}. All numbers are to be finite.")
    if inputs.ndim in (1, 3):
        inputs = inputs[:, None]
    if channels_last(inputs.shape):
        inputs = np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))
    return inputs if inputs.ndim == 4 and inputs.dtype == np.uint8 else inputs.astype(np.float64, copy=False)


def _standardised(train: Array) -> tuple[Any, Array, Array]:
    """Return what standardises inputs as the training part wants it, and what mean and deviation are left to do."""
    axes = (0, *range(2, train.ndim))
    bytes_ = train.dtype == np.uint8
    mean, std = train.mean(axes), train.std(axes)
    std = np.where(std > 0, std, 1.0)
    if bytes_:
        return lambda inputs: inputs, mean / 255, std / 255
    shape = (-1, *[1] * (train.ndim - 2))

    def scale(inputs: Array) -> Array:
        return ((inputs - mean.reshape(shape)) / std.reshape(shape)).astype(np.float32)

    return scale, np.zeros(len(mean)), np.ones(len(mean))


def _target_columns(name: str, values: Array) -> dict[str, Column]:
    if values.ndim > 2 or values.dtype.kind not in "fiubU":
        raise DataError(
            f"{name} has type {values.dtype} and shape {values.shape}. It is to be (N,), or (N, T): labels of 0 "
            "and 1, or several targets."
        )
    if values.ndim == 1 or values.shape[1] == 1:
        return {name: _column(name, values.reshape(-1))}
    labels = values.dtype.kind != "U" and np.isin(values[values == values], (0, 1)).all()  # noqa: PLR0124  no NaN
    word = "label" if labels else "y"
    return {f"{word} {place}": _column(name, each) for place, each in enumerate(values.T)}


def _of_samples(name: str, arrays: Mapping[str, Array], samples: int) -> Column:
    if name not in arrays:
        raise DataError(f"there is no array {name}. {nearest(name, arrays)}")
    if arrays[name].shape != (samples,):
        raise DataError(f"{name} has shape {arrays[name].shape}, but there are {samples} samples.")
    return _column(name, arrays[name])


def _column(name: str, values: Array) -> Column:
    if values.dtype.kind == "U":
        levels, places = np.unique(values, return_inverse=True)
        return Column("category", places.astype(np.int64), tuple(map(str, levels)))
    if len(wrong := np.flatnonzero(np.isinf(values))):
        raise DataError(f"{name}[{wrong[0]}] is {values[wrong[0]]}. All numbers are to be finite.")
    return Column("boolean" if values.dtype.kind == "b" else "number", values.astype(np.float64))
