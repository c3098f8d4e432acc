"""The losses as the page holds them: tables of value, slope and curvature, compact enough to lie in it."""

from itertools import groupby
from math import ceil, log10
from typing import Any

import torch
from torch import Tensor

from lossbench.catalogue.facts import facts_of
from lossbench.losses.bound_loss import BoundLoss
from lossbench.play.choice import (
    RATIOS,
    SETTINGS,
    asks_for_counts,
    bound,
    default_stop,
    defaults_of,
    is_residual,
    settings_of,
)
from lossbench.play.measure import REACH, curves_at, probability
from lossbench.tasks.loss_style import style_of

RESIDUALS = 14.0
"""How far the residuals of the tables go: no point of a sample is farther from a constant within it."""
STEP = 0.1
"""Between two points of a table; a hundredth of the reach if the outputs are cosines. The sliders stop there, so that
the page then shows a number of the table itself."""
DIGITS = (5, 4, 3)
"""Significant digits of value, slope and curvature, and how many at most stand behind the point."""
DECIMALS = (6, 5, 4)
NO_PROBLEM = {"residual": "regression", "margin": "classification"}


def page_data(names: list[str]) -> dict[str, Any]:
    """Return what the page knows of each loss, with a table for each stop of its slider and each ratio of classes.

    A column of a table stands once in `columns`, however many losses share it; their tables say its number there.

    Parameters
    ----------
    names : list of str
        Losses that can be dragged, as `choice.chosen` returns them.

    """
    counted, columns = set(asks_for_counts(names)), Columns()
    losses = [_entry(name, RATIOS if name in counted else (1,), columns) for name in names]
    return {"losses": losses, "columns": list(columns)}


class Columns(dict[str, int]):
    """The number of each column by what is written in it."""

    def __missing__(self, written: str) -> int:
        """Take up a column that is new."""
        self[written] = len(self)
        return self[written]


def _entry(name: str, ratios: tuple[int, ...], columns: Columns) -> dict[str, Any]:
    loss, style, facts = bound(name), style_of(name), facts_of(defaults_of(name)["_target_"])
    assert facts is not None  # it is one of the catalogue
    kind = "residual" if is_residual(loss) else "margin"
    entry: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "group": facts.problem or NO_PROBLEM[kind],
        "color": style.color,
        "dashes": list(style.dashes),
        "setting": SETTINGS[name][0] if name in SETTINGS else "",
        "stops": list(SETTINGS[name][1]) if name in SETTINGS else [0.0],
        "stop": default_stop(name),
        "reach": _reach(loss),
        "tables": [[_tables(bound(name, ratio, **stop), columns) for ratio in ratios] for stop in settings_of(name)],
    }
    return entry if kind == "residual" else {**entry, **_link(loss)}


def _reach(loss: BoundLoss) -> float:
    return RESIDUALS if is_residual(loss) else 2.0 if loss.declaration.head == "cosine" else REACH


def _grid(loss: BoundLoss) -> Tensor:
    """Return points that are those of decimal numbers, 0 among them, where the kinks of many losses are."""
    count = round(_reach(loss) / STEP) if _reach(loss) > 2 else 100
    return torch.arange(-count, count + 1, dtype=torch.float64) * _reach(loss) / count


def _tables(loss: BoundLoss, columns: Columns) -> list[list[int]]:
    """Return the table where class 1 is right, then that for class 0 if it differs."""
    x = _grid(loss)
    found = [_written(curves_at(loss, x, 1), columns)]
    if not is_residual(loss) and (other := _written(curves_at(loss, x, 0), columns)) != found[0]:
        found.append(other)
    return found


def _written(curves: tuple[Tensor, Tensor, Tensor], columns: Columns) -> list[int]:
    """Write the columns of a table; a value that hardly changes, for its size, with more digits."""
    value = curves[0]
    size, change = value.abs().max().item(), (value.max() - value.min()).item()
    more = ceil(log10(size / change)) if change > 0 else 0
    digits = (DIGITS[0] + max(0, more), *DIGITS[1:])
    return [columns[_numbers(*each)] for each in zip(curves, digits, DECIMALS, strict=True)]


def _numbers(curve: Tensor, digits: int, decimals: int) -> str:
    """Write numbers as short as can be read again; those that repeat once, with how often.

    Examples
    --------
    >>> _numbers(torch.tensor([0.5, -0.25, 3.0, 1e-9, 0.0]), 4, 6)
    '.5 -.25 3 0*2'

    """
    runs = [
        (number, len(list(run)))
        for number, run in groupby(_short(f"{round(each, decimals):.{digits}g}") for each in curve.tolist())
    ]
    return " ".join(f"{number}*{count}" if count > 1 else number for number, count in runs)


def _short(number: str) -> str:
    mantissa, _, exponent = number.partition("e")
    sign, mantissa = ("-", mantissa[1:]) if mantissa.startswith("-") else ("", mantissa)
    if mantissa.startswith("0."):
        mantissa = mantissa[1:]
    if not float(mantissa):
        return "0"
    return sign + mantissa + (f"e{int(exponent)}" if exponent else "")


def _link(loss: BoundLoss) -> dict[str, Any]:
    """Say how outputs become the probability of class 1: 1 / (1 + exp(-scale z)), or a table."""
    x = _grid(loss)
    p = probability(loss, x)
    near = torch.tensor([x[x > 0].min().item()], dtype=torch.float64)
    scale = round((torch.logit(probability(loss, near)) / near).item(), 6)
    if torch.allclose(p, torch.sigmoid(scale * x), atol=1e-6):
        return {"scale": scale}
    return {"p": _numbers(p, 5, 6)}
