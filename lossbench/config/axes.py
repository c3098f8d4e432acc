"""What makes a method beside its loss: the groups of the config that losses are combined with.

The choice of an axis names a function by `_target_`, with `_partial_: true`. Its parameters are the keys beside it;
what it asks for by name, as a loss does, comes from the run.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from lossbench.config import source
from lossbench.errors import ConfigError
from lossbench.locate import locate

AXES = {"weighting": "none", "sampler": "uniform", "mixup": "none", "posthoc": "none", "combine": "sum"}
"""The groups, in the order in which a name has them, and the choice that adds nothing."""
NEEDS = {
    "weighting": "needs classes",
    "sampler": "needs classes",
    "mixup": "mixes targets of one number or class",
    "posthoc": "needs classes",
    "combine": "needs a loss of several terms",
}
"""What each asks of the data, as an error says it."""
KNOWN = {
    "weighting": ("class_counts", "bin_counts", "epoch", "max_epochs"),
    "sampler": ("target", "classes", "batch_size", "generator"),
    "mixup": ("samples", "seed", "epoch", "step"),
    "posthoc": ("loss", "validation", "class_counts"),
    "combine": ("terms", "seed"),
}
"""What the function of each may ask for by name: its keyword-only parameters without a default."""


def axes_of(choices: Mapping[str, Any]) -> dict[str, str]:
    """Return the choice of each axis; where none is known, the one that adds nothing.

    Parameters
    ----------
    choices : mapping
        With the groups as keys, as in a record or in the tags of a run.

    """
    return {axis: str(choices.get(axis, plain)) for axis, plain in AXES.items()}


def additions(choices: Mapping[str, Any]) -> str:
    """Write what is added to a loss, as it stands in names.

    Examples
    --------
    >>> additions({"weighting": "drw", "sampler": "class_balanced"}), additions({"posthoc": "none"})
    ('+drw+class_balanced', '')

    """
    return "".join(f"+{choice}" for axis, choice in axes_of(choices).items() if choice != AXES[axis])


def after(start: Mapping[str, Any] | None) -> str:
    """Write from what a run has started, as it stands in names; "" if from fresh weights.

    Examples
    --------
    >>> after({"method": "huber"}), after(None)
    (' after huber', '')

    """
    return f" after {start['method']}" if start else ""


def asked_by(target: str) -> list[str]:
    """Return what the function of an axis asks for by name: its keyword-only parameters without a default."""
    if target.startswith("lossbench."):
        return source.context_of(target)
    parameters = inspect.signature(locate(target)).parameters.values()
    return [each.name for each in parameters if each.kind is each.KEYWORD_ONLY and each.default is each.empty]


def require_known(axis: str, node: Mapping[str, Any]) -> None:
    """Check that the function of an axis, brought by the user, takes its parameters and asks only for what is known.

    Raises
    ------
    ConfigError
        If it does not.

    """
    target = str(node["_target_"])
    if target.startswith("lossbench."):
        return
    given = {name: value for name, value in node.items() if not name.startswith("_")}
    signature = inspect.signature(locate(target))
    try:
        signature.bind_partial(**given)
    except TypeError as error:
        raise ConfigError(f"{axis}._target_={target}: {error}. Its signature is {signature}.") from error
    if unknown := sorted(set(asked_by(target)) - set(given) - set(KNOWN[axis])):
        raise ConfigError(
            f"{axis}._target_={target} has parameters without a value: {', '.join(unknown)}. Set them "
            f"(+{axis}.NAME=VALUE); by themselves come only {', '.join(KNOWN[axis])}."
        )
