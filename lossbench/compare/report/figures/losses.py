"""The losses themselves: value, slope and curvature. The one picture that needs torch, which is imported on drawing."""

from pathlib import Path
from typing import Any

from lossbench.catalogue.facts import hyperparameters
from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.report.figures.drawing import Picture
from lossbench.compare.report.figures.in_numbers import in_numbers, number
from lossbench.errors import first_line
from lossbench.locate import locate, strangers
from lossbench.tasks.task import Task

MOST_LOSSES = 20


def loss_curves(analysis: Analysis, folder: Path) -> tuple[Picture | None, str]:
    """Draw the curves of the compared losses into a folder; return the picture, and what could not be drawn.

    Parameters
    ----------
    analysis : Analysis
        The comparison.
    folder : Path
        Where `loss_curves.png` and `.svg` are written, and `.pdf` if `compare.pdf` asks for it.

    """
    if not analysis.comparison.task.curves:
        return None, ""
    try:
        from lossbench.catalogue.curves import draw_loss_curves
    except ImportError as error:
        return None, f"The curves of the losses are not drawn: {error}."
    losses, problems = {}, []
    for label, node in _distinct(analysis).items():
        if unknown := strangers(node, "loss", analysis.options.trust):
            problems.append(
                f"The curves of {label} are not drawn: its record names {unknown[0]}, which is not lossbench's and is "
                f"not imported. If you know it: trust=[{','.join(unknown)}]."
            )
            continue
        try:
            losses[label] = _bind(node, analysis.comparison.task)
        except Exception as error:
            problems.append(f"The curves of {label} are not drawn: {first_line(error)}")
    dropped = list(losses)[MOST_LOSSES:]
    if dropped:
        problems.append(f"Only {MOST_LOSSES} losses are drawn as curves; left out: {', '.join(dropped)}.")
    if not losses:
        return None, " ".join(problems)
    try:
        endings = ("png", "svg", "pdf") if analysis.options.pdf else ("png", "svg")
        drawn = {label: losses[label] for label in list(losses)[:MOST_LOSSES]}
        draw_loss_curves(drawn, folder / "loss_curves", analysis.baseline, endings)
    except Exception as error:
        return None, " ".join([*problems, f"The curves of the losses are not drawn: {first_line(error)}"])
    axis = (
        "the residual"
        if analysis.comparison.task.curves == "residual"
        else "the margin of the true class of two classes"
    )
    caption = (
        f"Value, slope and curvature of each compared loss for one sample over {axis}; computed from the definitions, "
        "not from runs."
    )
    return Picture("loss_curves", "The losses", caption, None, _alt(drawn, axis)), " ".join(problems)


def _alt(losses: dict[str, Any], axis: str) -> str:
    """Write the value and the slope of each loss at two places."""
    import torch

    from lossbench.catalogue.curves import curves

    places = torch.tensor([-1.0, 1.0])
    told = {}
    for label, loss in losses.items():
        with torch.random.fork_rng(devices=[]):
            value, slope, _ = curves(loss, places)
        told[label] = ", ".join(f"{number(value[k].item())} ({number(slope[k].item())})" for k in range(2))
    return in_numbers(f"Value (slope) where {axis} is -1 and 1", told)


def _distinct(analysis: Analysis) -> dict[str, dict[str, Any]]:
    """Return the config of each loss once: weightings and heads leave the function as it is."""
    nodes: dict[str, dict[str, Any]] = {}
    for label in sorted(analysis.comparison.entries, key=len):
        node = next(iter(analysis.comparison.entries[label].values()))["config"]["loss"]
        if node not in nodes.values():
            nodes[label] = node
    return {label: nodes[label] for label in analysis.comparison.entries if label in nodes}


def _bind(node: dict[str, Any], task: Task) -> Any:
    from lossbench.catalogue.binding import bind
    from lossbench.catalogue.curves import TWO_CLASSES

    return bind(locate(node["_target_"]), hyperparameters(node), TWO_CLASSES if task.has_classes else {}, task.name)
