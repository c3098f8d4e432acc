"""How generated samples are measured against held-out ones: the same way for every loss and every generator."""

import torch
from torch import Tensor
from typing_extensions import TypedDict

from lossbench.losses.bound_loss import BoundLoss
from lossbench.tasks.example import Example
from lossbench.tasks.generation.samples import in_units, sample_metrics
from lossbench.tasks.problem import Kept, Problem


class Predictions(TypedDict):
    """As many samples as held-out ones: images (N, C, H, W), uint8, or points (N, 2)."""

    samples: Tensor
    """Drawn."""
    real: Tensor
    """Held out."""
    index: Tensor
    """(N,), the place of each held-out sample in its source."""


def example(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> Example:
    """Make up what the loss of a critic and its generator, or of a denoising network, is called with."""
    return _EXAMPLES[loss.declaration.task](samples, generator)


def _to_oppose(samples: int, generator: torch.Generator) -> Example:
    fake_scores, real_scores, between, real = torch.randn(4, samples, generator=generator)
    context = {
        "epoch": 0,
        "gradient_norm": between.abs(),
        "index": torch.arange(samples),
        "inputs": torch.randn(samples, 2, generator=generator),
        "player": "discriminator",
        "real_gradient_norm": real.abs(),
    }
    return fake_scores, real_scores, context


def _to_denoise(samples: int, generator: torch.Generator) -> Example:
    outputs, noise, inputs = torch.randn(3, samples, 1, 4, 4, generator=generator)
    context = {
        "epoch": 0,
        "index": torch.arange(samples),
        "inputs": inputs,
        "signal_to_noise": (3 * torch.randn(samples, generator=generator)).exp(),
    }
    return outputs, noise, context


_EXAMPLES = {"denoising": _to_denoise, "gan": _to_oppose}


def check_link(linked: Tensor, samples: int, num_classes: int) -> None:
    """Assert that the link keeps outputs as they are: nothing is measured of them."""
    assert linked.shape[0] == samples and linked.isfinite().all(), "the link must give finite numbers for each sample."


def predict(loss: BoundLoss, kept: Kept, problem: Problem) -> Predictions:
    """Take samples and held-out ones as they are kept."""
    return kept  # type: ignore[return-value]


def measure(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Compare samples with held-out ones, images also by their Fréchet distance; nothing if one is not finite."""
    samples, real = (in_units(predictions[name]) for name in ("samples", "real"))
    if not samples.isfinite().all():
        return {}
    metrics = sample_metrics(samples, real, problem.modes)
    return metrics if problem.frechet is None else {**metrics, "frechet": problem.frechet.distance(part, samples)}
