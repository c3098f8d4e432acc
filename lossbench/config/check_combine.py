"""Check that a way to combine several terms has some, and what it needs. Nothing here imports torch.

What a user brings is the exception: it is imported, and made once for two terms.
"""

from importlib.util import find_spec
from typing import Any

from lossbench.catalogue.facts import default_parameters, facts_of, loss_names
from lossbench.catalogue.terms import term_nodes
from lossbench.config.axes import AXES, NEEDS
from lossbench.config.cell import Cell
from lossbench.config.source import said_by
from lossbench.errors import ConfigError
from lossbench.locate import locate, target_of

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
            f"compile=true makes a network that goes back once, {chosen} goes back for each term. Use compile=false."
        )
    target = str(cell.config.combine["_target_"])
    if target == target_of("combine", PLAIN):
        raise ConfigError(f"combine._target_={target} is combine={PLAIN}, or combine=fixed to see the gradients.")
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


def number_of_terms(cell: Cell) -> int:
    """Return how many terms the loss of a run has, or its learner adds up; 2 if these are at least two."""
    loss: Any = cell.resolved["loss"]
    facts = facts_of(str(loss["_target_"]))
    if facts is None:
        own = locate(str(loss["_target_"]))
        return len(getattr(own, "term_names", ("loss",)))
    if facts.is_made_of_others:
        return len(term_nodes(loss["terms"]))
    adds = said_by(str(cell.config.learner["_target_"]), "adds_terms", False)
    return max(len(facts.terms), 2 if adds else 1)


def losses_of_several(cell: Cell) -> list[str]:
    """Return the names of the losses with several terms that serve the task of a run."""
    known = {name: facts_of(default_parameters(name)["_target_"]) for name in loss_names()}
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
