"""How generated images are measured in the features of a classifier: Fréchet and kernel distance, inception score."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from lossbench.tasks.generation.frechet import Gaussian, frechet_distance

_CHUNK = 500
KERNEL_SAMPLES = 2000
"""At most so many, evenly spaced, are compared by the kernel: each with each."""


class ImageMetrics:
    """What samples are worth beside the real images of each evaluated part.

    Parameters
    ----------
    features : nn.Module
        Maps images (N, C, H, W) in 0..1 to features (N, D).
    head : nn.Module
        Maps features to the logits (N, K) of classes.
    loaders : mapping
        The evaluation loaders by part, with images in 0..1.

    """

    def __init__(self, features: nn.Module, head: nn.Module, loaders: dict[str, Iterable[Any]]) -> None:
        self.features, self.head = features, head
        found = {part: torch.cat([self._seen(batch.inputs) for batch in loader]) for part, loader in loaders.items()}
        self.gaussians = {part: Gaussian.of(real) for part, real in found.items()}
        self.real = {part: _spaced(real) for part, real in found.items()}

    def measured(self, part: str, samples: Tensor) -> dict[str, float]:
        """Measure samples (N, C, H, W) in 0..1 against a part."""
        seen = self._seen(samples)
        with torch.no_grad():
            logits = self.head(seen)
        found = {
            "frechet": frechet_distance(Gaussian.of(seen), self.gaussians[part]),
            "kernel_distance": kernel_distance(_spaced(seen), self.real[part]),
            "inception_score": inception_score(logits),
        }
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def _seen(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.cat([self.features(chunk.float()) for chunk in images.split(_CHUNK)])


def _spaced(features: Tensor) -> Tensor:
    return features[torch.linspace(0, len(features) - 1, min(len(features), KERNEL_SAMPLES)).long()]


def kernel_distance(one: Tensor, other: Tensor) -> float:
    """Compute the squared maximum mean discrepancy of two sets of features (N, D) and (M, D), without bias.

    Formula: mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean k(x_i, y_j), k(x, y) = (x y / D + 1)^3

    Its mean is 0 for two samples of one distribution, however small they are; so it may be below 0.

    References
    ----------
    Bińkowski, Sutherland, Arbel, Gretton 2018, "Demystifying MMD GANs", arXiv:1801.01401 (kernel inception distance,
    KID), there as the mean over subsets.

    """
    one, other = one.double(), other.double()

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: Tensor) -> Tensor:
        table = kernel(x, x)
        return (table.sum() - table.trace()) / (len(x) * (len(x) - 1))

    return float(within(one) + within(other) - 2 * kernel(one, other).mean())


def inception_score(logits: Tensor) -> float:
    """Compute how sure a classifier is of each image, and how many classes it sees, from logits (N, K).

    Formula: exp mean_i KL(p(y | x_i), p(y)), with p(y) the mean of p(y | x_i)

    From 1, where all images look alike to the classifier, to K, where it is sure of each and sees all classes as often.

    References
    ----------
    Salimans et al. 2016, "Improved Techniques for Training GANs", arXiv:1606.03498, there as the mean over ten splits.

    Examples
    --------
    >>> round(inception_score(torch.tensor([[50.0, 0.0], [0.0, 50.0]])), 6)
    2.0

    """
    log_p = logits.double().log_softmax(1)
    log_marginal = log_p.logsumexp(0) - math.log(len(log_p))  # finite also for a class that nothing looks like
    return float((log_p.exp() * (log_p - log_marginal)).sum(1).mean().exp())
