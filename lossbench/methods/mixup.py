"""Mixup: train on the mixture of two samples, with the same mixture of their losses. An axis of its own.

What draws the mixture of a step asks by name for `samples`, `seed`, `epoch` and `step`, as far as it needs them.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from lossbench.ranges import takes
from lossbench.seeding import numpy_stream


class Mixture(NamedTuple):
    """How the samples of a batch are mixed: `share` of each one, the rest of the sample in the row `partner`."""

    share: float
    partner: Tensor

    def mix(self, values: Tensor) -> Tensor:
        """Mix values (N, ...) of the samples with those of their partners."""
        return self.share * values + (1 - self.share) * values[self.partner]


def none() -> None:
    """Leave each sample by itself."""


@takes(alpha="number (0, inf)")
def draw_mixture(*, samples: int, seed: int, epoch: int, step: int, alpha: float = 1.0) -> Mixture:
    """Draw the mixture of one training step, from a stream of its own.

    Formula: x = lam x_a + (1 - lam) x_b, loss = lam L(f(x), y_a) + (1 - lam) L(f(x), y_b), lam from Beta(alpha, alpha)

    Parameters
    ----------
    samples : int
        Size of the batch.
    seed, epoch, step : int
        Choose the stream; `step` counts from 0 in each epoch.
    alpha : float above 0
        Both parameters of the Beta distribution of `share`: small ones leave most samples almost as they are.

    Returns
    -------
    Mixture
        One share for the batch; the partners are a permutation of it.

    References
    ----------
    Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization".

    Examples
    --------
    >>> mixture = draw_mixture(samples=3, seed=0, epoch=0, step=0)
    >>> 0 <= mixture.share <= 1, sorted(mixture.partner.tolist())
    (True, [0, 1, 2])

    """
    rng = numpy_stream(seed, "mixup", epoch, step)
    return Mixture(float(rng.beta(alpha, alpha)), torch.from_numpy(rng.permutation(samples)))
