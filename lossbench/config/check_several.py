"""Check the loss of several tasks of one network: each part has a loss that serves it. Nothing here imports torch."""

from collections.abc import Callable, Mapping
from typing import Any

from lossbench.catalogue.facts import facts_of
from lossbench.catalogue.parts import part_nodes, weights_of
from lossbench.catalogue.terms import targets
from lossbench.config.cell import Cell
from lossbench.config.values import check_node, table_of
from lossbench.errors import ConfigError
from lossbench.losses.facts import RUN_CONTEXT
from lossbench.tasks import task_named
from lossbench.tasks.task import Task


def check_terms_of_parts(
    cell: Cell, node: Mapping[str, Any], check_own: Callable[[dict[str, Any], Task], None]
) -> None:
    """Check the losses and weights of the parts.

    Parameters
    ----------
    cell : Cell
        Whose task has parts.
    node : mapping
        Its loss.
    check_own : callable
        Checks a loss of the user's own, by its node and the task that it shall serve.

    Raises
    ------
    ConfigError
        If a part, loss or parameter does not exist, a loss is for another task, asks for what several tasks do not
        supply, or is defined as a sum over the batch.

    """
    parts = cell.task.parts
    weights_of(parts, node.get("weights") or {})
    for name, term in part_nodes(parts, node.get("terms") or {}).items():
        key, said = f"loss.terms.{name}", str(term["_target_"]).rpartition(".")[2]
        facts = facts_of(term["_target_"])
        if facts is None:
            check_own({**term, "_partial_": True}, task_named(parts[name]))
            continue
        check_node(key, term, table_of("loss", term))
        needs = [need for target in targets(term) if (of := facts_of(target)) is not None for need in of.needs]
        if lacking := sorted(set(needs) - RUN_CONTEXT - set(cell.task.context) - {"weight"}):
            raise ConfigError(
                f"{key}={said} asks for {', '.join(lacking)}, which several tasks of one network do not have. Use a "
                f"loss without it; at each step there is {', '.join(cell.task.context)}."
            )
        if facts.reduction != "mean":
            raise ConfigError(
                f"{key}={said} is defined as a {facts.reduction} over the batch, but the losses of several tasks are "
                "added up for each sample. Use another."
            )
