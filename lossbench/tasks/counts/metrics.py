"""The metrics of counts."""

import torch
from torch import Tensor

from lossbench.tasks.regression.metrics import regression_metrics, varies

SMALLEST_COUNT = 0.01
"""A deviance takes no prediction below it: some losses predict counts below 0, which have none."""


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
