"""Prediction-powered inference: a mean from few labels of people and many verdicts of a judge, who may be wrong."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

NO_DISAGREEMENT = "the judge agrees with every label: how often it is wrong elsewhere isn't in the interval"


@dataclass(frozen=True)
class Powered:
    """A mean with its interval.

    Parameters
    ----------
    mean, low, high : float
        The estimate and its bounds, cut to those of the values.
    n, n_judged : int
        Cases that people have labelled, and cases that only the judge has seen.
    weight : float
        lambda: how much of the judge is used; 1 is plain PPI, 0 the labels alone.
    kind : str
        What the bounds are, to be printed beside them.
    note : str
        What the interval does not say; "" for nothing.

    """

    mean: float
    low: float
    high: float
    n: int
    n_judged: int
    weight: float
    kind: str
    note: str = ""


def prediction_powered_mean(
    labels: ArrayLike,
    judged: ArrayLike,
    judged_only: ArrayLike,
    *,
    confidence: float = 0.95,
    form: Literal["plain", "tuned"] = "plain",
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Powered:
    """Estimate the mean of what people would say of all cases.

    Formula: theta = lambda mean(g) + mean(y - lambda f), with labels y and verdicts f on n labelled cases and verdicts
    g on N others; interval theta +- z sqrt(lambda^2 s^2(g) / N + s^2(y - lambda f) / n), s^2 with n - 1 below. lambda
    is 1 for "plain"; for "tuned" (PPI++) it is cov(y, f) / ((1 + n / N) s^2(f and g)), cut to [0, 1], which is never
    much wider than the labels alone. With fewer than two other cases it is 0: the mean of the labels.

    The interval holds whatever the judge gets wrong, if the labelled cases are drawn at random from all; being that of
    the normal distribution, it needs some dozens of labels.

    Parameters
    ----------
    labels, judged : array_like, shape (n,)
        What people and the judge say of the same cases, n >= 2.
    judged_only : array_like, shape (N,)
        What the judge says of cases without a label.
    confidence : float
        In (0, 1).
    form : str
        "plain" or "tuned".
    bounds : (float, float)
        The smallest and the largest value there can be: estimate and interval are cut there.

    Raises
    ------
    ValueError
        If there are fewer than two labels, or labels and verdicts of other length.

    References
    ----------
    Angelopoulos et al. 2023, "Prediction-Powered Inference", arXiv:2301.09633; Angelopoulos, Duchi and Zrnic 2023,
    "PPI++", arXiv:2311.01453.

    Examples
    --------
    >>> found = prediction_powered_mean([1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0, 1])
    >>> round(found.mean, 4), round(found.low, 4), round(found.high, 4)  # 0.8 - 1/4; s^2: 0.2 and 0.25
    (0.55, 0.0, 1.0)

    """
    y, f, g = (np.asarray(values, dtype=np.float64) for values in (labels, judged, judged_only))
    if len(y) != len(f) or len(y) < 2:
        raise ValueError(
            f"{len(y)} labels and {len(f)} verdicts on them; at least 2 of each are needed, as many of both"
        )
    weight = 0.0 if len(g) < 2 else 1.0 if form == "plain" else _tuned(y, f, g)
    rest = y - weight * f
    variance = rest.var(ddof=1) / len(y) + (weight**2 * g.var(ddof=1) / len(g) if weight else 0.0)
    mean = rest.mean() + (weight * g.mean() if weight else 0.0)
    half = stats.norm.isf((1 - confidence) / 2) * np.sqrt(variance)
    centre, low, high = np.clip([mean, mean - half, mean + half], *bounds).tolist()
    kind = (
        f"{100 * confidence:g}% {'PPI' if form == 'plain' else 'PPI++'}" if weight else f"{100 * confidence:g}% normal"
    )
    note = NO_DISAGREEMENT if weight and (y == f).all() else ""
    return Powered(centre, low, high, len(y), len(g), weight, kind, note)


def _tuned(y: NDArray[np.float64], f: NDArray[np.float64], g: NDArray[np.float64]) -> float:
    spread = np.concatenate([f, g]).var(ddof=1)
    if spread == 0:
        return 0.0
    return float(np.clip(np.cov(y, f)[0, 1] / ((1 + len(y) / len(g)) * spread), 0, 1))
