"""The losses themselves: value, slope and curvature. The one picture that needs torch, which is imported on drawing."""

from pathlib import Path
from typing import Any

from lossbench.catalogue import CURVED, hyperparameters, locate, strangers
from lossbench.compare.analysis import Analysis
from lossbench.compare.drawing import Picture, colors
from lossbench.errors import first_line

MOST_LOSSES = 20


def loss_curves(analysis: Analysis, folder: Path) -> tuple[Picture | None, str]:
    """Draw the curves of the compared losses into a folder; return the picture, and what could not be drawn.

    Parameters
    ----------
    analysis : Analysis
        The comparison.
    folder : Path
        Where `loss_curves.png` and `.svg` are written.

    """
    if analysis.comparison.task not in CURVED:
        return None, ""
    try:
        from lossbench.loss_curves import draw_loss_curves
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
        drawn = {label: losses[label] for label in list(losses)[:MOST_LOSSES]}
        draw_loss_curves(drawn, folder / "loss_curves", colors(analysis))
    except Exception as error:
        return None, " ".join([*problems, f"The curves of the losses are not drawn: {first_line(error)}"])
    axis = "the residual" if analysis.comparison.task == "regression" else "the margin of the true class of two classes"
    caption = (
        f"Value, slope and curvature of each compared loss for one sample over {axis}; computed from the definitions, "
        "not from runs."
    )
    return Picture("loss_curves", "The losses", caption, None), " ".join(problems)


def _distinct(analysis: Analysis) -> dict[str, dict[str, Any]]:
    """Return the config of each loss once: weightings and heads leave the function as it is."""
    nodes: dict[str, dict[str, Any]] = {}
    for label in sorted(analysis.comparison.entries, key=len):
        node = next(iter(analysis.comparison.entries[label].values()))["config"]["loss"]
        if node not in nodes.values():
            nodes[label] = node
    return {label: nodes[label] for label in analysis.comparison.entries if label in nodes}


def _bind(node: dict[str, Any], task: Any) -> Any:
    from lossbench.loss_curves import TWO_CLASSES
    from lossbench.losses.binding import bind

    return bind(locate(node["_target_"]), hyperparameters(node), {} if task == "regression" else TWO_CLASSES, task)
