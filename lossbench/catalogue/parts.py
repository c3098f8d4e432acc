"""The losses of several tasks of one network: what a config says of them, read without torch."""

from collections.abc import Mapping
from typing import Any

from lossbench.catalogue.facts import default_parameters, facts_of, losses_for
from lossbench.catalogue.terms import Node, node_of
from lossbench.errors import ConfigError, nearest
from lossbench.ranges import contains
from lossbench.tasks import task_named

WEIGHT = "[0, inf)"


def part_nodes(parts: Mapping[str, str], terms: Any) -> dict[str, Node]:
    """Return the node of the loss of each part: what `terms` says, or the baseline of its task.

    Parameters
    ----------
    parts : mapping of str to str
        The task of each part.
    terms : mapping
        By part the name of a loss, or a mapping as in `terms.term_nodes`; null is the baseline.

    Raises
    ------
    ConfigError
        If there is no such part, loss or parameter, or a loss is for another task.

    Examples
    --------
    >>> nodes = part_nodes({"left": "multiclass", "size": "regression"}, {"left": "focal"})
    >>> nodes["left"]["_target_"], nodes["size"]["_target_"]
    ('lossbench.losses.focal', 'lossbench.losses.mse')

    """
    if not parts:
        raise ConfigError("loss=several_tasks is for several tasks of one network: give parts, or data that have some.")
    given = _by_part("loss.terms", parts, terms, "focal")
    return {name: _node(name, task, given.get(name)) for name, task in parts.items()}


def _node(name: str, task: str, term: Any) -> Node:
    if term is None:
        return default_parameters(task_named(task).baseline)
    key = f"loss.terms.{name}"
    node = node_of(key, term, may_be_sum=True)
    facts = facts_of(node["_target_"])
    if facts is not None and facts.task not in task_named(task).served_by:
        said = str(node["_target_"]).rpartition(".")[2]
        raise ConfigError(
            f"{key}={said}: it is a loss for {facts.task}, but the part {name} is {task}. Losses that serve {task}: "
            f"{', '.join(losses_for(task))}."
        )
    return node


def weights_of(parts: Mapping[str, str], weights: Any) -> dict[str, float]:
    """Return the weight of each part, 1 where none is given.

    Raises
    ------
    ConfigError
        If there is no such part, a weight is no number from 0, or all are 0.

    Examples
    --------
    >>> weights_of({"left": "multiclass", "right": "multiclass"}, {"right": 0.5})
    {'left': 1.0, 'right': 0.5}

    """
    given = _by_part("loss.weights", parts, weights, "0.5")
    found = {}
    for name in parts:
        weight = 1.0 if given.get(name) is None else given[name]
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not contains(WEIGHT, weight):
            raise ConfigError(f"loss.weights.{name}={weight} is out of range: allowed is {WEIGHT}.")
        found[name] = float(weight)
    if not any(found.values()):
        raise ConfigError(f"loss.weights={weights}: all are 0, so that nothing is learned. One must be above 0.")
    return found


def _by_part(key: str, parts: Mapping[str, str], given: Any, example: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise ConfigError(f"{key}={given}: give one by the name of a part, such as {key}.{next(iter(parts))}={example}")
    for name in given:
        if name not in parts:
            raise ConfigError(f"{key}.{name}={given[name]}: there is no part {name!r}. {nearest(str(name), parts)}")
    return given
