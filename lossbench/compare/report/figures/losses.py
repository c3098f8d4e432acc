"""The losses themselves: value, slope and curvature. The one picture that needs torch, which is imported on drawing.

So it is kept as long as it would come out the same: for the same losses of lossbench, labels, colours and source text.
"""

import json
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lossbench.catalogue.facts import hyperparameters
from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.report.figures.drawing import Picture, colors
from lossbench.errors import first_line
from lossbench.locate import locate, strangers
from lossbench.records import files
from lossbench.records.provenance import digest
from lossbench.tasks.task import Task

MOST_LOSSES = 20
NAME = "loss_curves"
PACKAGE = Path(__file__).parents[3]
KEPT = ".loss_curves.json"
"""Beside the picture: what it was made from, and what could not be drawn."""


def loss_curves(analysis: Analysis, folder: Path) -> tuple[Picture | None, str]:
    """Draw the curves of the compared losses into a folder; return the picture, and what could not be drawn.

    Parameters
    ----------
    analysis : Analysis
        The comparison.
    folder : Path
        Where `loss_curves.png` and `.svg` are written.

    """
    if not analysis.comparison.task.curves:
        _remove(folder)
        return None, ""
    nodes = _distinct(analysis)
    made_from = _made_from(analysis, nodes)
    kept = _kept(folder, made_from)
    if kept is None:
        _remove(folder)
        drawn, told = _draw(analysis, nodes, folder)
        if made_from is not None:
            files.write_text(folder / KEPT, json.dumps({"made_from": made_from, "drawn": drawn, "told": told}))
    else:
        drawn, told = kept
    return (_picture(analysis) if drawn else None), told


def _kept(folder: Path, made_from: str | None) -> tuple[bool, str] | None:
    """Return whether there is a picture that was made from the same, and what is told beside it; None if not known."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads((folder / KEPT).read_text(encoding="utf-8"))
        there = all((folder / f"{NAME}.{ending}").is_file() == kept["drawn"] for ending in ("png", "svg"))
        if there and made_from is not None and kept["made_from"] == made_from:
            return bool(kept["drawn"]), str(kept["told"])
    return None


def _remove(folder: Path) -> None:
    for name in (f"{NAME}.png", f"{NAME}.svg", KEPT):
        (folder / name).unlink(missing_ok=True)


def _made_from(analysis: Analysis, nodes: dict[str, dict[str, Any]]) -> str | None:
    """Return a hash of all that the picture is made from; None where losses are not lossbench's own."""
    if any(strangers(node, "loss", ()) for node in nodes.values()):
        return None
    source = sha256()
    for room in ("losses", "catalogue", "tasks"):
        for path in sorted((PACKAGE / room).glob("**/*.py")):
            source.update(path.read_bytes())
    return digest({
        "nodes": nodes, "order": list(nodes), "colors": colors(analysis), "task": analysis.comparison.task.name,
        "source": source.hexdigest(), "by": [version("torch"), version("matplotlib")],
    })  # fmt: skip


def _draw(analysis: Analysis, nodes: dict[str, dict[str, Any]], folder: Path) -> tuple[bool, str]:
    try:
        from lossbench.catalogue.curves import draw_loss_curves
    except ImportError as error:
        return False, f"The curves of the losses are not drawn: {error}."
    losses, problems = {}, []
    for label, node in nodes.items():
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
        return False, " ".join(problems)
    try:
        drawn = {label: losses[label] for label in list(losses)[:MOST_LOSSES]}
        draw_loss_curves(drawn, folder / NAME, colors(analysis))
    except Exception as error:
        return False, " ".join([*problems, f"The curves of the losses are not drawn: {first_line(error)}"])
    return True, " ".join(problems)


def _picture(analysis: Analysis) -> Picture:
    axis = (
        "the residual"
        if analysis.comparison.task.curves == "residual"
        else "the margin of the true class of two classes"
    )
    caption = (
        f"Value, slope and curvature of each compared loss for one sample over {axis}; computed from the definitions, "
        "not from runs."
    )
    return Picture(NAME, "The losses", caption, None)


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
