"""How near a loss is to known ones: by the shape of their slopes, whatever their scale."""

import inspect
import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lossbench.catalogue.binding import bind
from lossbench.catalogue.curves import curves, drawn_over
from lossbench.catalogue.facts import default_parameters, facts_of, hyperparameters, loss_names, yaml_of
from lossbench.catalogue.loss_picture import REACH, TWO_CLASSES
from lossbench.locate import locate
from lossbench.losses.bound_loss import BoundLoss

POINTS = 240  # even: the kinks at 0 fall between two points


def known_of(node: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the known losses that are inside a family exactly, each with its parameters there.

    They stand beside the family, as `MEMBERS`.

    Parameters
    ----------
    node : mapping
        The family's node of a config.

    Examples
    --------
    >>> known_of({"_target_": "lossbench.losses.taylor"})["mae_prob"]
    {'a_log': 0.0, 'a1': 2.0}
    >>> known_of({"_target_": "lossbench.losses.gce"})
    {}

    """
    return _beside(node, "MEMBERS")


def relatives_of(node: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the nodes of the known losses that a family has, exactly or nearly, at their defaults."""
    names = [name for kind in ("MEMBERS", "NEAR") for name in _beside(node, kind)]
    return {name: default_parameters(name) for name in dict.fromkeys(names)}


def bound(node: Mapping[str, Any], rare: bool = True) -> BoundLoss:
    """Bind the loss of a config node to two classes, of which the true one is the rare or the common one."""
    counts = TWO_CLASSES["class_counts"]
    context = {**TWO_CLASSES, "class_counts": counts if rare else counts[::-1]}
    return bind(locate(str(node["_target_"])), hyperparameters(node), context)


def distance(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Return how unlike two losses are: 0 if they have the same slope but for a factor, 1 if never in common.

    Formula: 1/2 mean |f'(x) / mean |f'| - g'(x) / mean |g'||

    x is on a grid from -6 to 6 for the margin of two classes, from -5 to 5 for the residual. A constant changes no
    slope, and a factor is what a learning rate can do. Where classes count by their size, it is the mean over the rare
    and the common one as the true class.

    Parameters
    ----------
    one, other : mapping
        Nodes of a config.

    Examples
    --------
    >>> mse, mae, half = ({"_target_": f"lossbench.losses.{name}"} for name in ("mse", "mae", "l2"))
    >>> distance(mse, half), round(distance(mse, mae), 2)
    (0.0, 0.25)

    """
    each = [_apart(_shape(bound(one, rare)), _shape(bound(other, rare))) for rare in (True, False)]
    return sum(each) / len(each)


def nearest_relatives(node: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return the distances of a loss to known ones by name, from the nearest on; those without a curve are left out."""
    if not drawn_over(bound(node)):
        return {}
    found = {name: distance(node, other) for name, other in known.items() if _is_drawn_like(node, other)}
    return dict(sorted(found.items(), key=lambda entry: entry[1]))


def _beside(node: Mapping[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Return what stands beside a family as `MEMBERS` or `NEAR`, or `MEMBERS_OF_...` where several share a file."""
    family: Any = inspect.unwrap(locate(str(node["_target_"])))
    task = getattr(facts_of(str(node["_target_"])), "task", None)
    signature = inspect.signature(family).parameters
    tables = [value for name, value in vars(sys.modules[family.__module__]).items() if name.startswith(kind)]
    return {
        name: dict(parameters)
        for table in tables
        for name, parameters in table.items()
        if name in loss_names()
        and set(parameters) <= set(signature)
        and getattr(facts_of(yaml_of(name)["_target_"]), "task", None) == task
    }


def _is_drawn_like(node: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return drawn_over(bound(node)) == drawn_over(bound(other))


def _shape(loss: BoundLoss) -> Tensor:
    reach = REACH["residual" if drawn_over(loss) == "residual" else "linear"]
    slope = curves(loss, torch.linspace(-reach, reach, POINTS, dtype=torch.float64))[1]
    return slope / slope.abs().mean().clamp(min=torch.finfo(slope.dtype).tiny)


def _apart(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().mean() / 2)
