"""What makes a method beside its loss: the groups of the config that losses are combined with, and what fits together.

Nothing here imports torch.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lossbench.catalogue import LossFacts, facts_of, locate
from lossbench.errors import ConfigError
from lossbench.terms import targets

if TYPE_CHECKING:
    from lossbench.cells import Cell

AXES = {"weighting": "none", "sampler": "uniform", "mixup": "none", "posthoc": "none"}
"""The groups, in the order in which a name has them, and the choice that adds nothing."""

WEIGHED_BY = {
    ("weighting", "regression"): " or lds.",
    ("weighting", "multilabel"): ", or a loss that weighs the labels, such as multilabel_weighted_bce.",
}
"""What stands in for the weights of classes where there are none."""

LOGITS = ("scaled_softmax", "sigmoid", "softmax")
"""The links that turn logits into probabilities, which a temperature or a prior can be applied to."""


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


def check_method(cell: "Cell") -> None:
    """Check that what is combined with the loss fits the loss, the task and the data.

    Raises
    ------
    ConfigError
        If it does not.

    """
    for axis in ("sampler", "mixup", "posthoc"):
        kind, plain = cell.config[axis].get("kind"), AXES[axis]
        if kind is None or (kind == plain) != (cell.axes[axis] == plain):
            raise ConfigError(f"{axis}.kind={kind}: the kind comes with the choice of the group, {axis}=NAME.")
    task = str(cell.config.data.task)
    if task not in ("binary", "multiclass"):
        _check_without_classes(cell, task)
    elif _is_lds(cell):
        raise ConfigError(f"weighting={cell.weighting} is for regression, but data={cell.data} is {task}. Use none.")
    _check_sampler(cell)
    if cell.axes["mixup"] != AXES["mixup"]:
        _check_mixup(cell)
    if cell.axes["posthoc"] != AXES["posthoc"]:
        _check_posthoc(cell)


def _check_without_classes(cell: "Cell", task: str) -> None:
    for axis in ("weighting", "sampler", "posthoc"):
        chosen = cell.axes[axis]
        if chosen != AXES[axis] and not (task == "regression" and axis == "weighting" and _is_lds(cell)):
            raise ConfigError(
                f"{axis}={chosen} needs classes, but data={cell.data} is {task}. Use {axis}={AXES[axis]}"
                + WEIGHED_BY.get((axis, task), ".")
            )
    if cell.axes["mixup"] != "none" and task != "regression":
        raise ConfigError(f"mixup={cell.axes['mixup']} mixes targets of one number or class, not {task}. Use none.")


def _is_lds(cell: "Cell") -> bool:
    return bool(cell.config.weighting.get("_target_") == "lossbench.weighting.lds")


def _check_sampler(cell: "Cell") -> None:
    sampler, data, kind = cell.axes["sampler"], cell.config.data, cell.config.sampler.kind
    if data["_target_"] != "lossbench.data.DataModule" and kind != AXES["sampler"]:
        raise ConfigError(f"sampler={sampler}: data={cell.data} brings its own batches. Use sampler=uniform.")
    if data.get("sampler", AXES["sampler"]) != kind:
        raise ConfigError(
            f"data.sampler={data.get('sampler')} is not that of sampler={sampler}: choose sampler=NAME, and let the "
            "YAML of the data take it with `sampler: ${sampler.kind}`."
        )


def _check_mixup(cell: "Cell") -> None:
    if any(facts.memory or "index" in facts.needs for facts in _facts(cell)):
        raise ConfigError(
            f"mixup={cell.axes['mixup']}: loss={cell.loss} remembers the samples of earlier steps, but each step mixes "
            "others. Use mixup=none, or a loss without a memory."
        )


def _check_posthoc(cell: "Cell") -> None:
    posthoc, facts = cell.axes["posthoc"], _facts(cell)
    if facts[0].link not in LOGITS:
        raise ConfigError(
            f"posthoc={posthoc} changes logits, but the outputs of loss={cell.loss} become probabilities by "
            f"{facts[0].link}. Use posthoc=none, or a loss whose link is one of: {', '.join(LOGITS)}."
        )
    kind = cell.config.posthoc.kind
    if kind == "temperature" and cell.config.data.get("val_fraction") == 0:
        raise ConfigError(
            f"posthoc={posthoc} is fitted on the validation part, but data.val_fraction=0 leaves none. Allowed: (0, 1)."
        )
    if kind == "logit_adjustment" and any(map(counts_classes, facts)):
        raise ConfigError(
            f"posthoc={posthoc} subtracts the training priors, but loss={cell.loss} takes the class frequencies into "
            "account itself. Use posthoc=none or temperature, or a loss that does not."
        )


def counts_classes(facts: LossFacts) -> bool:
    """Tell whether a loss knows how frequent the classes are: it asks for the counts, or counts for itself."""
    return "class_counts" in facts.needs or (facts.problem == "imbalance" and "num_classes" in facts.needs)


def _facts(cell: "Cell") -> list[LossFacts]:
    """Return the facts of the loss, or of each of its terms; one that the user brings is imported for them."""
    return [_facts_of(cell, target) for target in targets(cell.resolved["loss"])]


def _facts_of(cell: "Cell", target: str) -> LossFacts:
    task = str(cell.config.data.task)
    facts = facts_of(target)
    if facts is None:
        from lossbench.losses.binding import TASK_LINKS
        from lossbench.subject import Subject

        facts = Subject(cell.loss, locate(target), task=task).facts  # type: ignore[arg-type]
        facts = facts if facts.link else replace(facts, link=TASK_LINKS[task].__name__)
    return facts
