"""Check that a way to combine several terms has some, and what it needs. Nothing here imports torch.

What a user brings is the exception: it is imported, and made once for two terms.
"""

from importlib.util import find_spec
from typing import Any

from lossbench.catalogue.facts import facts_of, loss_names, yaml_of
from lossbench.catalogue.terms import term_nodes
from lossbench.config.axes import AXES, NEEDS
from lossbench.config.cell import Cell
from lossbench.config.source import said_by
from lossbench.data.shapes import data_for
from lossbench.errors import ConfigError
from lossbench.locate import locate, target_of
from lossbench.tasks import task_named

PLAIN = AXES["combine"]


def check_combine(cell: Cell) -> None:
    """Check that the terms of a loss can be combined as a config says.

    Raises
    ------
    ConfigError
        If the loss has one term, the learner does not descend a loss by one optimizer, torchjd is missing, or what the
        user brings makes no `Combine`.

    """
    chosen = f"combine={cell.axes['combine']}"
    if cell.axes["combine"] == PLAIN:
        return
    learner = cell.choices["learner"]
    if said_by(str(cell.config.learner["_target_"]), "automatic_optimization", True) is False:
        raise ConfigError(
            f"{chosen} is not for learner={learner}, whose two players have a loss each. Use combine={PLAIN}."
        )
    _require_terms(cell, chosen)
    if cell.config.optimizer.get("calibrate") == "gradient":
        raise ConfigError(
            f"optimizer.calibrate=gradient scales the sum of the terms, which {chosen} does not descend. Use "
            f"optimizer.calibrate=none, or combine={PLAIN}."
        )
    if cell.config.compile:
        raise ConfigError(
            f"compile=true is for one backward pass, but {chosen} makes one for each term. Use compile=false."
        )
    target = str(cell.config.combine["_target_"])
    if target == target_of("combine", PLAIN):
        raise ConfigError(f"combine._target_={target} is combine={PLAIN}, or combine=fixed to see the gradients.")
    if said_by(target, "own_networks", False):
        _require_parts(cell, chosen)
    if not target.startswith("lossbench."):
        _require_combination(target, chosen, cell.resolved["combine"])
    elif said_by(target, "by") == "gradient" and find_spec("torchjd") is None:
        raise ConfigError(
            f"{chosen} combines gradients by torchjd, which is not installed. Install it, pip install '.[balance]', or "
            "use a method by value, such as combine=uncertainty."
        )


def _require_terms(cell: Cell, chosen: str) -> None:
    """Check that there are several terms; name losses of the task that have some."""
    if number_of_terms(cell) > 1:
        return
    raise ConfigError(
        f"{chosen} {NEEDS['combine']}, but loss={cell.loss} has one. Losses for {cell.task.name} with several: "
        f"{', '.join(losses_of_several(cell)) or 'none'}. Or use combine={PLAIN}."
    )


def _require_parts(cell: Cell, chosen: str) -> None:
    """Check that a network for each part can be trained, and nothing but the sum of their losses couples them."""
    if not cell.task.parts:
        raise ConfigError(
            f"{chosen} trains a network for each of several tasks, but data={cell.data} is {cell.task.name}. Use "
            f"combine={PLAIN}, or data with several: {', '.join(data_for(task_named('digit_pair')))}, scene_parts."
        )
    trainer = cell.config.trainer
    if trainer.get("gradient_clip_val") and trainer.get("gradient_clip_algorithm") in (None, "norm"):
        raise ConfigError(
            f"trainer.gradient_clip_val={trainer.gradient_clip_val} clips by the norm over all networks of {chosen}, "
            "so that they are no longer alone. Use trainer.gradient_clip_algorithm=value, or leave it out."
        )


def number_of_terms(cell: Cell) -> int:
    """Return how many terms the loss of a run has, or its learner adds up; 2 if these are at least two."""
    loss: Any = cell.resolved["loss"]
    facts = facts_of(str(loss["_target_"]))
    if facts is None:
        own = locate(str(loss["_target_"]))
        return len(getattr(own, "term_names", ("loss",)))
    if facts.is_made_of_parts:
        return len(cell.task.parts)
    if facts.is_made_of_others:
        return len(term_nodes(loss["terms"]))
    adds = said_by(str(cell.config.learner["_target_"]), "adds_terms", False)
    return max(len(facts.terms), 2 if adds else 1)


def losses_of_several(cell: Cell) -> list[str]:
    """Return the names of the losses with several terms that serve the task of a run."""
    known = {name: facts_of(yaml_of(name)["_target_"]) for name in loss_names()}
    several = {name: facts for name, facts in known.items() if facts is not None and facts.has_several_terms}
    return [name for name, facts in several.items() if facts.task in cell.task.served_by]


def _require_combination(target: str, chosen: str, node: dict[str, Any]) -> None:
    """Make the user's method once, for two terms."""
    from lossbench.methods.combining import Combine

    given = {name: value for name, value in node.items() if not name.startswith("_")}
    try:
        made = locate(target)(terms=("one", "other"), **given)
    except Exception as error:
        raise ConfigError(f"{chosen}: {target} can't be made for two terms: {type(error).__name__}: {error}") from error
    if not isinstance(made, Combine):
        raise ConfigError(
            f"{chosen}: {target} makes a {type(made).__name__}; it must be a lossbench.methods.combining.Combine, "
            "whose forward turns the values (T,) of the terms into what is descended, or a ByGradient."
        )
