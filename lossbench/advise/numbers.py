"""What the residuals of a robust fit say of a number as target: outliers, tails, spread, counts, rare regions."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lossbench.advise.probe import FOLDS, SEED
from lossbench.data.corruptions import Array
from lossbench.data.label_density import BINS

MOST_RESIDUALS = 5000
"""Residuals to which the mixture is fitted."""
MOST_DF = 100.0
"""Degrees of freedom from which on Student's t is taken for a Gaussian."""
FAR = 4.0
"""Robust deviations from the centre beyond which a residual may be an outlier."""
SPREAD_SEEN = 0.15
"""Rank correlation of predicted and seen spread from which on residuals are divided by the predicted one."""


@dataclass(frozen=True)
class Core:
    """Most of the residuals, as Student's t, and what lies off it.

    Parameters
    ----------
    center, scale, df : float
        Of Student's t.
    below, above : float
        Shares of all residuals that are outliers on each side.

    """

    center: float
    scale: float
    df: float
    below: float
    above: float

    @property
    def outliers(self) -> float:
        """The share of outliers."""
        return self.below + self.above

    @property
    def side(self) -> float:
        """Where they lie: -1 all below, 1 all above, 0 as many on each side, or none."""
        return (self.above - self.below) / self.outliers if self.outliers > 0 else 0.0


def robust_center_and_scale(residual: Array) -> tuple[float, float]:
    """Return centre and deviation of the larger part of the residuals, which a third of outliers on one side leave.

    It starts from the shortest half (Rousseeuw, Leroy 1988), and takes median and 1.4826 MAD of what lies within 2.5
    deviations, times what the cut takes from a Gaussian's, until nothing changes.

    Examples
    --------
    >>> r = np.random.default_rng(0).normal(size=7000)
    >>> center, scale = robust_center_and_scale(np.concatenate([r, np.full(3000, 30.0)]))
    >>> round(abs(center), 1), round(scale, 1)
    (0.0, 1.0)

    """
    ordered = np.sort(residual)
    half = len(ordered) // 2
    lengths = ordered[half:] - ordered[: len(ordered) - half]
    first = int(lengths.argmin())
    center = float(ordered[first : first + half + 1].mean())
    scale = float(lengths[first]) / 2 / 0.6745
    for _ in range(30):
        near = ordered[np.abs(ordered - center) <= 2.5 * scale]
        if len(near) < 2:
            break
        before, center = (center, scale), float(np.median(near))
        scale = 1.4826 * 1.018 * float(np.median(np.abs(near - center)))  # within 2.5 the MAD is 1/1.018 of the whole
        if before == (center, scale):
            break
    return center, scale


def core_of(residual: Array) -> Core:
    """Fit a mixture of Student's t and of outliers by maximum likelihood.

    Formula: p(r) = (1 - a - b) t_df((r - c) / s) / s + a U(min, c0 - 4 s0) + b U(c0 + 4 s0, max), U a uniform density,
    c0 and s0 from `robust_center_and_scale`. The tails of t take what a clean residual does so far out, so that only
    what t does not explain are outliers.

    Parameters
    ----------
    residual : array, shape (N,)
        Of samples that the fit has not seen. `MOST_RESIDUALS` evenly spaced quantiles are fitted where there are more.

    Examples
    --------
    >>> r = np.random.default_rng(0).normal(size=1000)
    >>> r[:100] += 20
    >>> core = core_of(r)
    >>> round(core.outliers, 2), round(core.side, 1)
    (0.1, 1.0)

    """
    from scipy.optimize import minimize
    from scipy.special import gammaln

    center, scale = robust_center_and_scale(residual)
    if not scale > 0:
        return Core(center, 0.0, MOST_DF, 0.0, 0.0)
    r = (np.sort(residual) - center) / scale
    if len(r) > MOST_RESIDUALS:
        r = r[np.linspace(0, len(r) - 1, MOST_RESIDUALS).round().astype(int)]
    low, high = r < -FAR, r > FAR
    flat = [low / max(-r[0] - FAR, 1.0), high / max(r[-1] - FAR, 1.0)]
    sides = [each for each, seen in ((0, low), (1, high)) if seen.any()]

    def cost(of: Array) -> float:
        shift, log_scale, log_df = of[:3]
        weights = np.zeros(3)
        weights[[0, *(1 + side for side in sides)]] = np.exp(np.append(0.0, of[3:]))
        weights /= weights.sum()
        df, z = np.exp(log_df), (r - shift) / np.exp(log_scale)
        height = gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * np.log(df * np.pi) - log_scale
        density = weights[0] * np.exp(height - (df + 1) / 2 * np.log1p(z**2 / df))
        density += sum(weights[1 + side] * flat[side] for side in sides)
        return -float(np.log(density + 1e-300).mean())

    bounds = [(-2, 2), (-2, 2), (0, np.log(MOST_DF)), *[(-12, 0)] * len(sides)]
    guesses = ((30, [np.mean(flat[side] > 0) for side in sides]), (3, [1e-3] * len(sides)))
    starts = [[0, 0, np.log(df), *(np.log(max(share, 1e-4)) for share in shares)] for df, shares in guesses]
    found = min((minimize(cost, start, method="L-BFGS-B", bounds=bounds) for start in starts), key=lambda f: f.fun)
    share = np.exp(found.x[3:]) / (1 + np.exp(found.x[3:]).sum())
    by_side = dict(zip(sides, share.tolist(), strict=True))
    return Core(
        center + scale * float(found.x[0]), scale * float(np.exp(found.x[1])), float(np.exp(found.x[2])),
        by_side.get(0, 0.0), by_side.get(1, 0.0),
    )  # fmt: skip


def _trees(loss: str, rows: int, steps: int = 100, leaves: int = 16) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    least = max(20, rows // 200)
    return HistGradientBoostingRegressor(
        loss=loss,
        max_iter=steps,
        max_leaf_nodes=leaves,
        min_samples_leaf=least,
        early_stopping=False,
        random_state=SEED,
    )


def held_out(fit: Any, features: Array, target: Array) -> Array:
    """Predict each fold from a fit to the others."""
    from sklearn.model_selection import KFold, cross_val_predict

    cut = KFold(FOLDS, shuffle=True, random_state=SEED)
    return np.asarray(cross_val_predict(fit, features, target, cv=cut))


def robust_predictions(features: Array, target: Array) -> tuple[str, Array]:
    """Return predictions for samples not seen, by the better of a linear Huber fit and trees of absolute error.

    The better one has the smaller median absolute residual.
    """
    from sklearn.linear_model import HuberRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    middle = float(np.median(target))
    unit = 1.4826 * float(np.median(np.abs(target - middle))) or float(target.std()) or 1.0
    scaled = (target - middle) / unit
    fits = {
        "a linear Huber fit": make_pipeline(StandardScaler(), HuberRegressor(max_iter=300, alpha=1e-3)),
        "boosted trees of absolute error": _trees("absolute_error", len(target)),
    }
    made = {name: held_out(fit, features, scaled) for name, fit in fits.items()}
    name = min(made, key=lambda each: float(np.median(np.abs(scaled - made[each]))))
    return name, middle + unit * made[name]


def spread_of(features: Array, residual: Array) -> Array | None:
    """Return the predicted spread of each residual, relative to the middle one; None where none is seen.

    Trees of absolute error are fitted to the size of the residual, held out; they estimate its median.
    """
    size = np.abs(residual - np.median(residual))
    typical = float(np.median(size))
    if typical == 0:
        return None
    spread = np.clip(held_out(_trees("absolute_error", len(size)), features, size / typical), 0.1, None)
    return spread if rank_correlation(spread, size) > SPREAD_SEEN else None


def far_inputs(features: Array) -> float:
    """Return the share of samples whose inputs lie far off the others': leverage.

    Formula: outliers above, as `core_of` has them, of the distance d_i = sqrt(mean_j z_ij^2), z in robust deviations of
    each feature. Features of which most are equal are left out.

    Examples
    --------
    >>> inputs = np.random.default_rng(0).normal(size=(1000, 4))
    >>> inputs[:100] += 10
    >>> round(far_inputs(inputs), 2)
    0.1

    """
    robust = np.array([robust_center_and_scale(column) for column in features.T])
    varied = robust[:, 1] > 0
    if not varied.any():
        return 0.0
    distance = np.sqrt((((features[:, varied] - robust[varied, 0]) / robust[varied, 1]) ** 2).mean(1))
    return core_of(distance).above


def rank_correlation(one: Array, other: Array) -> float:
    """Return Spearman's rank correlation, 0 where one of them is constant."""
    from scipy.stats import spearmanr

    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(one, other).statistic)


def expected_counts(features: Array, target: Array) -> Array:
    """Return expected counts of samples not seen, by boosted trees of Poisson deviance; at least 1 % of the mean.

    The trees are few and small: what they pick up of the noise would count as dispersion.
    """
    if target.mean() == 0:
        return np.ones(len(target))
    expected = held_out(_trees("poisson", len(target), steps=50, leaves=8), features, target)
    return np.maximum(expected, 0.01 * target.mean())


def dispersion(target: Array, expected: Array) -> float:
    """Return the variance over the mean of counts, given what is expected of each.

    Formula: mean of (y - mu)^2 / mu, 1 for a Poisson distribution (Pearson's chi2 over N; McCullagh, Nelder 1989).

    Examples
    --------
    >>> dispersion(np.array([0.0, 4.0]), np.array([2.0, 2.0]))
    2.0

    """
    return float(((target - expected) ** 2 / expected).mean())


def poisson_deviance(target: Array, expected: Array) -> Array:
    """Return 2 (y ln(y / mu) - y + mu) of each count.

    Examples
    --------
    >>> poisson_deviance(np.array([0.0, 2.0]), np.array([1.0, 2.0])).tolist()
    [2.0, 0.0]

    """
    from scipy.special import xlogy

    return np.asarray(2 * (xlogy(target, target / expected) - target + expected))


def stabilised(counts: Array) -> Array:
    """Return 2 sqrt(y + 3/8), whose variance is about 1 for a Poisson distribution (Anscombe 1948).

    Examples
    --------
    >>> stabilised(np.array([0.625])).tolist()
    [2.0]

    """
    return np.asarray(2 * np.sqrt(counts + 0.375))


def rare_share(target: Array, bins: int = BINS) -> float:
    """Return the share of equal bins over the range of a target that have less than a tenth of an even share.

    Examples
    --------
    >>> rare_share(np.append(np.linspace(0, 1, 1000), 2.0))
    0.5

    """
    counts, _ = np.histogram(target, bins)
    return float((counts < 0.1 * len(target) / bins).mean())
