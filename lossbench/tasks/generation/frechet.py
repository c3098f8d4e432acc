"""Fréchet distance of generated images from real ones: the formula of FID, in features that are given."""

from typing import NamedTuple

import torch
from torch import Tensor


class Gaussian(NamedTuple):
    """Mean (D,) and covariance (D, D) of features, float64."""

    mean: Tensor
    covariance: Tensor

    @classmethod
    def of(cls, features: Tensor) -> "Gaussian":
        """Take both from features (N, D)."""
        features = features.double()
        return cls(features.mean(0), features.T.cov())


def frechet_distance(one: Gaussian, other: Gaussian) -> float:
    """Compute the squared 2-Wasserstein distance of two Gaussians.

    Formula: norm(m1 - m2)^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))

    The trace of the root is taken from the eigenvalues of C1^(1/2) C2 C1^(1/2), which is symmetric, so that covariances
    of low rank do no harm.

    References
    ----------
    Dowson and Landau 1982, "The Fréchet Distance between Multivariate Normal Distributions"; Heusel et al. 2017,
    arXiv:1706.08500 (FID).

    Examples
    --------
    >>> eye = torch.eye(2, dtype=torch.float64)
    >>> round(frechet_distance(Gaussian(torch.zeros(2), eye), Gaussian(torch.ones(2), 4 * eye)), 6)
    4.0

    """
    values, vectors = torch.linalg.eigh(one.covariance)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    crossed = torch.linalg.eigvalsh(root @ other.covariance @ root).clamp_min(0).sqrt().sum()
    distance = (one.mean - other.mean).square().sum() + one.covariance.trace() + other.covariance.trace() - 2 * crossed
    return max(0.0, float(distance))
