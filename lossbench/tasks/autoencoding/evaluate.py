"""How the codes and reconstructions of images are measured: the same way for every loss."""

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import TypedDict

from lossbench.losses.bound_loss import BoundLoss
from lossbench.tasks.autoencoding.metrics import active_units, peak_signal_to_noise
from lossbench.tasks.example import Example
from lossbench.tasks.generation.samples import KEPT, as_pixels
from lossbench.tasks.problem import Kept, Problem, with_a_value


class Predictions(TypedDict):
    """What is made of N images; the values of each are those of `metrics.bound_of_each`."""

    neg_elbo: Tensor
    """(N,), in nats."""
    reconstruction: Tensor
    """(N,), in nats."""
    kl: Tensor
    """(N,), in nats."""
    mse: Tensor
    """(N,), of a pixel."""
    ssim: Tensor
    """(N,), NaN for images that are too small for it."""
    mean: Tensor
    """(N, D), of the codes."""
    target: Tensor
    """(N,), the classes of the images."""
    index: Tensor
    """(N,), the place of each image in its source."""
    images: Tensor
    """(64, C, H, W), uint8, the first images."""
    reconstructions: Tensor
    """(64, C, H, W), uint8, those of the first images."""
    samples: Tensor
    """(64, C, H, W), uint8, drawn."""


def example(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> Example:
    """Make up decoded outputs, images, features, and mean and log variance of the codes."""
    outputs = torch.randn(samples, 1, 4, 4, generator=generator)
    images = torch.rand(samples, 1, 4, 4, generator=generator)
    kernel = torch.randn(3, 1, 3, 3, generator=generator)
    context = {
        "epoch": 0,
        "feature_maps": lambda seen: [F.conv2d(seen, kernel.to(seen)).tanh()],
        "index": torch.arange(samples),
        "inputs": images,
        "mean": torch.randn(samples, 3, generator=generator),
        "log_variance": torch.randn(samples, 3, generator=generator),
    }
    return outputs, images, context


def check_link(linked: Tensor, samples: int, num_classes: int) -> None:
    """Assert that the link gives the means of pixels, finite and of the shape of the images."""
    assert linked.shape[0] == samples and linked.isfinite().all(), (
        f"the link returns shape {tuple(linked.shape)}; it must give a finite mean for each pixel."
    )


def predict(loss: BoundLoss, kept: Kept, problem: Problem) -> Predictions:
    """Keep the values of each image whole, and of images and samples a few."""
    few = {name: kept[name][:KEPT] for name in ("images", "reconstructions")}
    return {**kept, **few, "samples": as_pixels(kept["samples"][:KEPT])}  # type: ignore[typeddict-item]


def measure(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Return what is known of each image as means over the images, and the latents in use."""
    return {
        "neg_elbo": float(predictions["neg_elbo"].double().mean()),
        "reconstruction": float(predictions["reconstruction"].double().mean()),
        "kl": float(predictions["kl"].double().mean()),
        "mse": float(predictions["mse"].double().mean()),
        "psnr": float(peak_signal_to_noise(predictions["mse"].double()).mean()),
        **with_a_value({"ssim": predictions["ssim"].double().mean()}),
        "active_units": active_units(predictions["mean"]),
    }
