"""The metrics of predicted distributions and of counts, in the units of the target."""

from collections.abc import Mapping

import torch
from torch import Tensor

from lossbench.distributions import LEVELS
from lossbench.metrics import regression_metrics, varies

RECORDED = slice(4, None, 5)
"""Which of `LEVELS` the files of a run hold, and coverage, widths and calibration are computed at: 0.025 to 0.975."""
INTERVALS = (50, 80, 90, 95)
"""The central intervals, in per cent."""
SMALLEST_COUNT = 0.01
"""A deviance takes no prediction below it: some losses predict counts below 0, which have none."""


def distributional_metrics(predictions: Mapping[str, Tensor]) -> dict[str, float]:
    """Compute the metrics of predicted distributions.

    `nll` and `crps` against the observed targets; `pinball`, the mean pinball loss of the quantiles 0.025 to 0.975; of
    each central interval `coverage_90`, the share of targets inside, `coverage_error_90`, how far that is from 0.9, and
    its mean width `width_90`; `calibration_error`, the mean over the levels of how far the share of targets below a
    quantile is from its level. Absolute errors are those of the median, squared ones those of the mean, each against
    the clean truth and, with the suffix `_observed`, against the observed targets.

    Parameters
    ----------
    predictions : mapping
        mean, log_density, crps, target, target_clean: (N,); quantiles (N, 39) at 0.025, 0.05 to 0.975.

    """
    predictions = {name: tensor.double() for name, tensor in predictions.items() if tensor.is_floating_point()}
    quantiles, target = predictions["quantiles"], predictions["target"]
    if not len(target):
        return {}
    levels = LEVELS[RECORDED].to(quantiles)
    below = (target[:, None] <= quantiles).double().mean(0)
    metrics = {
        "nll": -predictions["log_density"].mean(),
        "crps": predictions["crps"].mean(),
        "pinball": pinball(quantiles, target, levels).mean(),
        "calibration_error": (below - levels).abs().mean(),
    }
    for percent in INTERVALS:
        place = round((1 - percent / 100) / 2 / 0.025) - 1
        low, high = quantiles[:, place], quantiles[:, -1 - place]
        coverage = ((low <= target) & (target <= high)).double().mean()
        metrics |= {
            f"coverage_{percent}": coverage,
            f"coverage_error_{percent}": (coverage - percent / 100).abs(),
            f"width_{percent}": (high - low).mean(),
        }
    observed, clean = target, predictions["target_clean"]
    of_median = regression_metrics(quantiles[:, quantiles.shape[1] // 2], observed, clean)
    of_mean = regression_metrics(predictions["mean"], observed, clean)
    absolute = {name: value for name, value in of_median.items() if name.startswith(("mae", "median_ae"))}
    return {name: float(value) for name, value in metrics.items()} | of_mean | absolute


def crps_of_quantiles(quantiles: Tensor, target: Tensor) -> Tensor:
    """Return the continuous ranked probability score (N,) of distributions that are known by their quantiles.

    It is twice the integral of the pinball loss over all levels, by the trapezoidal rule over `LEVELS`; beyond the
    outer levels the integrand is taken as constant. Of a normal distribution it is within 0.1 % of the closed form.

    Parameters
    ----------
    quantiles : Tensor (N, Q)
        At `LEVELS`.
    target : Tensor (N,)
        Observed targets.

    """
    weights = torch.full_like(quantiles[0], 1 / (len(LEVELS) + 1))
    weights[[0, -1]] *= 1.5
    return 2 * pinball(quantiles, target, LEVELS.to(quantiles)) @ weights


def pinball(quantiles: Tensor, target: Tensor, levels: Tensor) -> Tensor:
    """Return the pinball loss (N, Q) of quantiles (N, Q) at levels (Q,)."""
    residual = target[:, None] - quantiles
    return torch.maximum(levels * residual, (levels - 1) * residual)


def count_metrics(prediction: Tensor, observed: Tensor, clean: Tensor) -> dict[str, float]:
    """Compute the metrics of a prediction of counts.

    Those of a regression, against the true expectation and with the suffix `_observed` against the counts; and against
    the counts the mean Poisson deviance and `d2`, the share of it that is explained: 1 is perfect, 0 what the mean
    count gives. In these two, predictions below 0.01 count as 0.01.

    Parameters
    ----------
    prediction, observed, clean : Tensor
        Shape (N,), floating; the observed ones are counts.

    Examples
    --------
    >>> scores = count_metrics(torch.ones(2), torch.tensor([0.0, 2.0]), torch.ones(2))
    >>> round(scores["poisson_deviance"], 4), scores["d2"]
    (1.3863, 0.0)

    """
    if not len(observed):
        return {}
    counts = observed.double()
    deviance = poisson_deviance(prediction.double(), counts)
    metrics = {"poisson_deviance": float(deviance)}
    if varies(observed):
        metrics["d2"] = float(1 - deviance / poisson_deviance(counts.mean(), counts))
    return metrics | regression_metrics(prediction, observed, clean)


def poisson_deviance(prediction: Tensor, observed: Tensor) -> Tensor:
    """Return the mean of 2 (y log(y / m) - y + m), where m is the prediction, at least `SMALLEST_COUNT`."""
    m = prediction.clamp_min(SMALLEST_COUNT)
    return 2 * (torch.xlogy(observed, observed) - torch.xlogy(observed, m) - observed + m).mean()
