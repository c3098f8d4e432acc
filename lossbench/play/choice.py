"""Which losses one number can be dragged through, why others can't, and what of each a slider sets."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import torch

from lossbench.catalogue.binding import bind
from lossbench.catalogue.facts import default_parameters, facts_of, hyperparameters, loss_names
from lossbench.errors import ConfigError, nearest
from lossbench.locate import locate
from lossbench.losses.bound_loss import BoundLoss
from lossbench.tasks import task_named

COMMON = 1000
"""Samples of the common class, class 0, for a loss that asks for class counts."""
RATIOS = (1, 10, 100)
"""Common samples for each rare one; class 1 is the rare one."""
SETTINGS: dict[str, tuple[str, tuple[float, ...]]] = {
    "expectile": ("t", (0.1, 0.25, 0.5, 0.75, 0.9)),
    "focal": ("gamma", (0.0, 0.5, 1.0, 2.0, 5.0)),
    "forward_correction": ("rate", (0.1, 0.2, 0.3, 0.4)),
    "gce": ("q", (0.1, 0.3, 0.5, 0.7, 1.0)),
    "general_robust": ("alpha", (-2.0, 0.0, 1.0, 1.5, 2.0)),
    "huber": ("delta", (0.2, 0.5, 1.0, 2.0, 5.0)),
    "label_smoothing": ("smoothing", (0.0, 0.05, 0.1, 0.2, 0.4)),
    "linex": ("a", (-1.0, -0.5, 0.5, 1.0)),
    "quantile": ("q", (0.1, 0.25, 0.5, 0.75, 0.9)),
    "tukey": ("c", (1.5, 3.0, 4.685, 7.0)),
}
"""What is the heart of a loss: the setting that its slider moves, and where it stops; one stop is the default."""
FAMILIES = ("expression", "expression_residual", "margin_family", "robust_family", "spline_residual", "taylor")
"""Families of the search for a loss, each of which can be nearly any other: only on request."""


@cache
def defaults_of(name: str) -> dict[str, Any]:
    """Return `_target_` and the hyper-parameters of a loss, not to be changed: its YAML is read once."""
    return default_parameters(name)


@cache
def why_not(name: str) -> str:
    """Say why a loss can't be dragged; "" if it can.

    Examples
    --------
    >>> why_not("focal")
    ''
    >>> why_not("dice")
    'it has no curve over one number'

    """
    facts = facts_of(defaults_of(name)["_target_"])
    if facts is None or not task_named(facts.task).curves:
        return "it has no curve over one number"
    if facts.coupled:
        return "its value for a sample depends on the rest of the batch"
    if set(facts.needs) & set(task_named(facts.task).context):
        return "it changes from step to step"
    loss = bound(name)
    if loss.module is not None:
        return "it learns or remembers, so that it has no curve of its own"
    x = torch.linspace(-1.5, 1.5, 7, dtype=torch.float64)  # with 0, where both classes are as likely
    here, shifted, beside = (_values(loss, x, *each) for each in ((0.0, 0.0), (0.4, 0.0), (0.0, 1e-9)))
    if not torch.allclose(here, shifted, rtol=1e-6, atol=1e-9):
        return f"it depends on more than the {'residual' if is_residual(loss) else 'difference of two logits'}"
    return "" if torch.allclose(here, beside, rtol=1e-6, atol=1e-6) else "it jumps"


def playable() -> list[str]:
    """Return the names of all losses that can be dragged."""
    return [name for name in loss_names() if not why_not(name)]


def chosen(names: Sequence[str] = ()) -> list[str]:
    """Return the losses of a page: those that are named, or else all that can be dragged but the families.

    Raises
    ------
    ConfigError
        If there is no such loss, or it has no curve over one number.

    """
    if not names:
        return [name for name in playable() if name not in FAMILIES]
    known = loss_names()
    for name in names:
        if name not in known:
            raise ConfigError(f"loss={name}: no such loss. {nearest(name, playable())}")
        if reason := why_not(name):
            raise ConfigError(f"loss={name} can't be dragged: {reason}. These can: {', '.join(playable())}.")
    return list(dict.fromkeys(names))


def bound(name: str, ratio: int = 1, **settings: Any) -> BoundLoss:
    """Return a loss with other settings than its defaults, for two classes of which class 1 is the rare one."""
    defaults = defaults_of(name)
    factory = locate(defaults["_target_"])
    context = {"class_counts": [COMMON, COMMON // ratio], "num_classes": 2, "max_epochs": 1, "num_samples": COMMON}
    return bind(factory, {**hyperparameters(defaults), **settings}, context)


def is_residual(loss: BoundLoss) -> bool:
    """Tell whether a loss is one of regression."""
    return task_named(loss.declaration.task).curves == "residual"


def settings_of(name: str) -> list[dict[str, float]]:
    """Return the settings at which a slider of this loss stops; one that sets nothing if it has none."""
    key, values = SETTINGS.get(name, ("", (0.0,)))
    return [{key: value} if key else {} for value in values]


def default_stop(name: str) -> int:
    """Return at which of its stops the slider of a loss stands at first."""
    if name not in SETTINGS:
        return 0
    key, values = SETTINGS[name]
    return values.index(defaults_of(name)[key])


def asks_for_counts(names: Iterable[str]) -> list[str]:
    """Return those losses that differ with the number of samples of each class."""
    return [name for name in names if "class_counts" in bound(name).settings]


def _values(loss: BoundLoss, x: torch.Tensor, shift: float, step: float) -> torch.Tensor:
    """Return the loss a step beside x, with prediction and target, or both logits, larger by a shift."""
    x = x + step
    if is_residual(loss):
        return loss(-x + shift, torch.full_like(x, shift))
    if loss.declaration.takes_classes:
        return loss(torch.stack([x / 2, -x / 2], dim=1) + shift, torch.zeros_like(x, dtype=torch.int64))
    return loss(x, torch.ones_like(x))
