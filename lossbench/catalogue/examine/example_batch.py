"""Call a loss once on made-up outputs, to see that it returns one finite number per sample."""

import inspect

import torch

from lossbench.errors import ConfigError
from lossbench.losses.bound_loss import BoundLoss, WrongValues
from lossbench.tasks import task_named
from lossbench.tasks.example import Example

_SAMPLES = 6


def example_batch(loss: BoundLoss, num_classes: int | None, samples: int = _SAMPLES) -> Example:
    """Return outputs, target and step context of the shapes that a loss meets in training.

    Parameters
    ----------
    loss : BoundLoss
        The loss, whose task makes them.
    num_classes : int or None
        Number of classes K; None for regression.
    samples : int
        Number of samples N.

    """
    evaluate = task_named(loss.declaration.task).evaluate
    example: Example = evaluate.example(loss, num_classes, samples, torch.Generator().manual_seed(0))
    return example


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
    outputs, target, context = example_batch(loss, num_classes)
    loss = loss.copy()
    try:
        loss(outputs.requires_grad_(), target, **context)
    except WrongValues as error:
        raise ConfigError(str(error)) from error
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
    outputs, target, context = example_batch(loss, num_classes)
    with torch.random.fork_rng(devices=[]):
        before = torch.random.get_rng_state()
        loss.copy()(outputs, target, **context)
        return not torch.equal(before, torch.random.get_rng_state())
