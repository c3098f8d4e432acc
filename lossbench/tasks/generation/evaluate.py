"""How generated samples are measured against held-out ones: the same way for every loss and every generator."""

import math

import torch
from torch import Tensor
from typing_extensions import NotRequired, TypedDict

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
    log_likelihood: NotRequired[Tensor]
    """(M,), of all held-out samples, in nats, where the model has a density."""


def example(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> Example:
    """Make up what a loss of each way of generating is called with."""
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


def _to_map(samples: int, generator: torch.Generator) -> Example:
    latents, inputs = torch.randn(2, samples, 6, generator=generator)
    context = {"epoch": 0, "index": torch.arange(samples), "inputs": inputs}
    return latents, torch.randn(samples, generator=generator), context


def _to_lower(samples: int, generator: torch.Generator) -> Example:
    energies, log_noise = torch.randn(2, samples, generator=generator)
    drawn, drawn_log_noise = torch.randn(2, samples, 3, generator=generator)
    context = {
        "epoch": 0,
        "index": torch.arange(samples),
        "inputs": torch.randn(samples, 2, generator=generator),
        "log_noise": log_noise,
        "drawn_log_noise": drawn_log_noise,
    }
    return energies, drawn, context


_EXAMPLES = {"denoising": _to_denoise, "energy": _to_lower, "flow": _to_map, "gan": _to_oppose}


def check_link(linked: Tensor, samples: int, num_classes: int) -> None:
    """Assert that the link keeps outputs as they are: nothing is measured of them."""
    assert linked.shape[0] == samples and linked.isfinite().all(), "the link must give finite numbers for each sample."


def predict(loss: BoundLoss, kept: Kept, problem: Problem) -> Predictions:
    """Take samples and held-out ones as they are kept."""
    return kept  # type: ignore[return-value]


def measure(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Compare samples with held-out ones, images also in features; nothing if one is not finite."""
    samples, real = (in_units(predictions[name]) for name in ("samples", "real"))
    if not samples.isfinite().all():
        return {}
    metrics = {**likelihood(predictions), **sample_metrics(samples, real, problem.modes)}
    return metrics if problem.image_metrics is None else metrics | problem.image_metrics.measured(part, samples)


def likelihood(predictions: Predictions) -> dict[str, float]:
    """Return the mean log-likelihood of held-out samples, in nats and as bits per dimension, where there is one."""
    if "log_likelihood" not in predictions:
        return {}
    nats = float(predictions["log_likelihood"].double().mean())
    bits = -nats / (predictions["real"][0].numel() * math.log(2))
    return {"log_likelihood": nats, "bits_per_dimension": bits} if math.isfinite(nats) else {}
