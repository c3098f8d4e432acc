"""Call a loss once on made-up outputs, to see that it returns one finite number per sample."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lossbench.errors import ConfigError
from lossbench.losses.binding import PER_CLASS, BoundLoss

_SAMPLES = 6
MadeUp = tuple[Tensor, Tensor, dict[str, Any]]


def made_up(loss: BoundLoss, num_classes: int | None, samples: int = _SAMPLES) -> MadeUp:
    """Return outputs, target and step context of the shapes that a loss meets in training.

    Parameters
    ----------
    loss : BoundLoss
        The loss, whose task decides the shapes.
    num_classes : int or None
        Number of classes K; None for regression.
    samples : int
        Number of samples N.

    """
    return MADE_UP[loss.declaration.learner](loss, num_classes, samples, torch.Generator().manual_seed(0))


def _to_compare(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> MadeUp:
    task, width = loss.declaration.task, loss.num_outputs(num_classes)
    one_output = width == 1 and task not in PER_CLASS
    outputs = torch.randn((samples,) if one_output else (samples, width), generator=generator)
    target = torch.arange(samples) % (num_classes or 1)
    if task in ("distributional", "regression"):
        target = torch.randn(samples, generator=generator)
    elif task == "count":
        target = torch.arange(samples) % 4.0
    elif task == "binary":
        target = target.float()
    elif task == "multilabel":  # the digits of the sample's number: from no label to all of four
        target = (torch.arange(samples).unsqueeze(1) >> torch.arange(width) % 4 & 1).float()
    context = {
        "epoch": 0,
        "features": torch.randn(samples, 4, generator=generator),
        "index": torch.arange(samples),
        "inputs": torch.randn(samples, 4, generator=generator),
        "teacher_logits": torch.randn(outputs.shape, generator=generator),
    }
    return outputs, target, context


def _lines(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> MadeUp:
    """Make up lines of 1 to 3 classes in 7 to 9 frames."""
    classes, frames = num_classes or 10, 9
    order = torch.arange(samples)
    lengths, input_lengths = 1 + order % 3, 7 + order % 3
    target = torch.randint(classes, (samples, 3), generator=generator)
    target[torch.arange(3) >= lengths.unsqueeze(1)] = -1
    place = torch.arange(frames).expand(samples, -1)  # each class in the middle one of three frames
    alignment = torch.where(place % 3 == 1, target.repeat_interleave(3, dim=1), -1)
    alignment = torch.where(alignment >= 0, alignment, classes)
    context = {
        "alignment": torch.where(place < input_lengths.unsqueeze(1), alignment, -1),
        "epoch": 0,
        "index": order,
        "input_lengths": input_lengths,
        "inputs": torch.randn(samples, 1, 4, 2 * frames, generator=generator),
        "target_lengths": lengths,
    }
    return torch.randn(samples, frames, classes + 1, generator=generator), target, context


def _to_encode(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> MadeUp:
    outputs = torch.randn(samples, 1, 4, 4, generator=generator)
    images = torch.rand(samples, 1, 4, 4, generator=generator)
    context = {
        "epoch": 0,
        "index": torch.arange(samples),
        "inputs": images,
        "mean": torch.randn(samples, 3, generator=generator),
        "log_variance": torch.randn(samples, 3, generator=generator),
    }
    return outputs, images, context


def _to_oppose(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> MadeUp:
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


def _to_denoise(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> MadeUp:
    outputs, noise, inputs = torch.randn(3, samples, 1, 4, 4, generator=generator)
    context = {
        "epoch": 0,
        "index": torch.arange(samples),
        "inputs": inputs,
        "signal_to_noise": (3 * torch.randn(samples, generator=generator)).exp(),
    }
    return outputs, noise, context


MADE_UP: dict[str, Callable[[BoundLoss, int | None, int, torch.Generator], MadeUp]] = {
    "ctc": _lines,
    "distributional": _to_compare,
    "gan": _to_oppose,
    "denoising": _to_denoise,
    "supervised": _to_compare,
    "vae": _to_encode,
}
"""By way of learning, what makes up outputs, target and step context."""


def probe(loss: BoundLoss, num_classes: int | None, name: str) -> None:
    """Raise a `ConfigError` unless the loss returns shape (N,) for N samples.

    Parameters
    ----------
    loss : BoundLoss
        The loss to call.
    num_classes : int or None
        Number of classes; None for regression.
    name : str
        How the error calls the loss.

    """
    outputs, target, context = made_up(loss, num_classes)
    loss = loss.copy()
    try:
        loss(outputs.requires_grad_(), target, **context)
    except ConfigError:
        raise
    except Exception as error:
        signature = inspect.signature(loss.function if loss.module is None else loss.module.forward)
        raise ConfigError(
            f"loss {name} failed on outputs {tuple(outputs.shape)} and target {tuple(target.shape)}: "
            f"{type(error).__name__}: {error}. Its signature is {signature}."
        ) from error


def draws_random_numbers(loss: BoundLoss, num_classes: int | None) -> bool:
    """Tell whether a loss takes numbers from torch's global generator."""
    outputs, target, context = made_up(loss, num_classes)
    with torch.random.fork_rng(devices=[]):
        before = torch.random.get_rng_state()
        loss.copy()(outputs, target, **context)
        return not torch.equal(before, torch.random.get_rng_state())
