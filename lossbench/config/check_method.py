"""Check that what is combined with a loss fits the loss, the task and the data. Nothing here imports torch."""

from dataclasses import replace

from lossbench.catalogue.facts import facts_of
from lossbench.catalogue.terms import targets
from lossbench.config.axes import AXES, NEEDS, asked_by, require_known
from lossbench.config.cell import Cell
from lossbench.config.check_combine import check_combine
from lossbench.errors import ConfigError
from lossbench.locate import locate
from lossbench.losses.facts import LossFacts

COUNTS = {"class_counts": "needs classes", "bin_counts": "is for regression"}
"""What a weighting may ask of the data, as an error says it."""
LOGITS = ("scaled_softmax", "sigmoid", "softmax")
"""The links that turn logits into probabilities, which a temperature or a prior can be applied to."""


def check_method(cell: Cell) -> None:
    """Check that what is combined with the loss fits the loss, the task and the data.

    Raises
    ------
    ConfigError
        If it does not.

    """
    for axis in AXES:
        require_known(axis, cell.resolved[axis])
        needs_classes = axis != "combine" and (axis != "sampler" or "classes" in _asked(cell, axis))
        if cell.axes[axis] != AXES[axis] and axis not in cell.task.axes and needs_classes:
            raise _does_not_fit(cell, axis)
    _check_weighting(cell)
    _check_sampler(cell)
    if cell.axes["mixup"] != AXES["mixup"]:
        _check_mixup(cell)
    if cell.axes["posthoc"] != AXES["posthoc"]:
        _check_posthoc(cell)
    check_combine(cell)


def _does_not_fit(cell: Cell, axis: str) -> ConfigError:
    return ConfigError(
        f"{axis}={cell.axes[axis]} {NEEDS[axis]}, but data={cell.data} is {cell.task.name}. Use {axis}={AXES[axis]}"
        + cell.task.advice.get(axis, ".")
    )


def _asked(cell: Cell, axis: str) -> list[str]:
    """Return what the function of an axis asks the run for, by name."""
    return [name for name in asked_by(str(cell.config[axis]["_target_"])) if name not in cell.config[axis]]


def _check_weighting(cell: Cell) -> None:
    """Check that a weighting asks for what the task has: the counts of classes, or those of bins of the target."""
    chosen, wanted = cell.axes["weighting"], cell.task.weighed_by
    if chosen == AXES["weighting"]:
        return
    asked = [name for name in _asked(cell, "weighting") if name in COUNTS]
    if asked and wanted not in asked:
        raise ConfigError(
            f"weighting={chosen} {COUNTS[asked[0]]}, but data={cell.data} is {cell.task.name}. Use "
            f"weighting={AXES['weighting']}{cell.task.advice.get('weighting', '.')}"
        )


def _check_sampler(cell: Cell) -> None:
    sampler = cell.axes["sampler"]
    if not cell.is_in_memory:
        if sampler != AXES["sampler"]:
            raise ConfigError(f"sampler={sampler}: data={cell.data} brings its own batches. Use sampler=uniform.")
        return
    of_data, of_axis = cell.resolved["data"].get("sampler"), cell.resolved["sampler"]
    if of_data != of_axis and (of_data is not None or sampler != AXES["sampler"]):
        raise ConfigError(
            f"data.sampler={of_data} is not that of sampler={sampler}: choose sampler=NAME, and let the YAML of the "
            "data take it with `sampler: ${sampler}`."
        )


def _check_mixup(cell: Cell) -> None:
    if any(facts.memory or "index" in facts.needs for facts in _facts(cell)):
        raise ConfigError(
            f"mixup={cell.axes['mixup']}: loss={cell.loss} remembers the samples of earlier steps, but each step mixes "
            "others. Use mixup=none, or a loss without a memory."
        )


def _check_posthoc(cell: Cell) -> None:
    posthoc, facts = cell.axes["posthoc"], _facts(cell)
    if facts[0].link not in LOGITS:
        raise ConfigError(
            f"posthoc={posthoc} changes logits, but the outputs of loss={cell.loss} become probabilities by "
            f"{facts[0].link}. Use posthoc=none, or a loss whose link is one of: {', '.join(LOGITS)}."
        )
    asked = _asked(cell, "posthoc")
    if "validation" in asked and cell.config.data.get("val_fraction") == 0:
        raise ConfigError(
            f"posthoc={posthoc} is fitted on the validation part, but data.val_fraction=0 leaves none. Allowed: (0, 1)."
        )
    if "class_counts" in asked and any(map(counts_classes, facts)):
        raise ConfigError(
            f"posthoc={posthoc} corrects for the class frequencies, but loss={cell.loss} takes the class frequencies "
            "into account itself. Use posthoc=none, or one that does not ask for class_counts, or another loss."
        )


def counts_classes(facts: LossFacts) -> bool:
    """Tell whether a loss knows how frequent the classes are: it asks for the counts, or counts for itself."""
    return "class_counts" in facts.needs or (facts.problem == "imbalance" and "num_classes" in facts.needs)


def _facts(cell: Cell) -> list[LossFacts]:
    """Return the facts of the loss, or of each of its terms; one that the user brings is imported for them."""
    return [_facts_of(cell, target) for target in targets(cell.resolved["loss"])]


def _facts_of(cell: Cell, target: str) -> LossFacts:
    facts = facts_of(target)
    if facts is None:
        from lossbench.catalogue.examine.loss_under_test import LossUnderTest

        facts = LossUnderTest(cell.loss, locate(target), task=cell.task.name).facts
        facts = facts if facts.link else replace(facts, link=cell.task.link)
    return facts
