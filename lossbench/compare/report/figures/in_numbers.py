"""What stands for a picture where it can't be seen: what is shown, in the numbers that are drawn."""

import math
from collections.abc import Mapping

import numpy as np

from lossbench.compare.numbers.statistics import Interval, PairedDifference
from lossbench.compare.report.figures.drawing import Array, Curves, mean_of

MOST = 600
"""So many characters are read out."""


def in_numbers(what: str, by_loss: Mapping[str, str], after: str = "") -> str:
    """Write what is shown, then each loss with its numbers, as many as there is room for; the others are counted.

    Parameters
    ----------
    what : str
        What the numbers are, without a colon.
    by_loss : mapping of str to str
        The numbers of each loss by label.
    after : str
        A sentence that follows.

    Examples
    --------
    >>> in_numbers("Last accuracy", {"mse": "0.9", "huber": "0.8"})
    'Last accuracy: mse 0.9; huber 0.8.'
    >>> long = in_numbers("Last accuracy", {f"loss_{k}": "0.123" for k in range(90)})
    >>> len(long) <= MOST, long[-19:]
    (True, 'and 53 more losses.')

    """
    parts = [f"{label} {numbers}" for label, numbers in by_loss.items()]
    room = MOST - len(what) - len(after) - 30
    fits = [sum(len(part) + 2 for part in parts[: k + 1]) <= room for k in range(len(parts))]
    kept = max(1, sum(fits))
    more = f"; and {len(parts) - kept} more losses" if kept < len(parts) else ""
    return f"{what}: {'; '.join(parts[:kept])}{more}.{f' {after}' if after else ''}"


def number(value: float) -> str:
    """Write a number with three digits; "unknown" if it isn't one.

    Examples
    --------
    >>> number(0.123456), number(-0.0), number(float("nan"))
    ('0.123', '0', 'unknown')

    """
    return f"{value + 0.0:.3g}" if math.isfinite(value) else "unknown"


def numbers(values: Mapping[str, float]) -> str:
    """Write several numbers of a loss.

    Examples
    --------
    >>> numbers({"many": 0.9, "few": 0.25})
    'many 0.9, few 0.25'

    """
    return ", ".join(f"{name} {number(value)}" for name, value in values.items())


def with_interval(interval: Interval | PairedDifference) -> str:
    """Write a mean with its interval, if there is one."""
    mean = number(interval.mean)
    known = math.isfinite(interval.low) and math.isfinite(interval.high)
    return f"{mean} [{number(interval.low)}, {number(interval.high)}]" if known else mean


def first_to_last(values: Array) -> str:
    """Write from where to where the mean of curves (n, E) over the first axis goes.

    Examples
    --------
    >>> first_to_last(np.array([[0.1, 0.5, 0.75]]))
    '0.1 to 0.75'

    """
    mean = mean_of(values)
    known = mean[np.isfinite(mean)]
    return f"{number(known[0])} to {number(known[-1])}" if known.size else "unknown"


def curves_in_numbers(what: str, curves: Curves) -> str:
    """Write from which to which epoch curves go, then of each loss from where to where its mean goes.

    Examples
    --------
    >>> epochs = np.array([1.0, 2.0, 3.0])
    >>> curves_in_numbers("Accuracy", {"mse": (epochs, np.array([[0.1, 0.5, 0.75]]))})
    'Accuracy, epochs 1 to 3: mse 0.1 to 0.75.'

    """
    found = [float(epoch) for epochs, _ in curves.values() for epoch in epochs]
    reach = f"epochs {min(found):g} to {max(found):g}"
    return in_numbers(f"{what}, {reach}", {label: first_to_last(values) for label, (_, values) in curves.items()})
