"""The losses themselves: value, slope and curvature.

Their curves are kept in the package, or computed by torch, which is imported for that: those of other losses than
lossbench's, or with other parameters than the usual. So the picture is kept as long as it would come out the same: for
the same losses of lossbench, labels, colours and source text.
"""

import json
from collections import defaultdict
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lossbench.catalogue.facts import hyperparameters
from lossbench.catalogue.kept_curves import kept_curve, single
from lossbench.catalogue.loss_picture import TWO_CLASSES, Curve, draw_curves
from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.report.figures.drawing import Picture
from lossbench.compare.report.figures.in_numbers import in_numbers, number
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
        Where `loss_curves.png` and `.svg` are written, and `.pdf` if `compare.pdf` asks for it.

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
            files.write_text(
                folder / KEPT,
                json.dumps({"made_from": made_from, "drawn": drawn, "told": told, "endings": _endings(analysis)}),
            )
    else:
        drawn, told = kept
    return (_picture(analysis, drawn) if drawn else None), told


def _kept(folder: Path, made_from: str | None) -> tuple[str, str] | None:
    """Return what stands for a picture that was made from the same, and is told beside it; None if not known."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads((folder / KEPT).read_text(encoding="utf-8"))
        drawn = str(kept["drawn"])
        there = all((folder / f"{NAME}.{ending}").is_file() == bool(drawn) for ending in kept["endings"])
        if there and made_from is not None and kept["made_from"] == made_from:
            return drawn, str(kept["told"])
    return None


def _remove(folder: Path) -> None:
    for name in (*(f"{NAME}.{ending}" for ending in ("png", "svg", "pdf")), KEPT):
        (folder / name).unlink(missing_ok=True)


def _endings(analysis: Analysis) -> tuple[str, ...]:
    return ("png", "svg", "pdf") if analysis.options.pdf else ("png", "svg")


def _made_from(analysis: Analysis, nodes: dict[str, dict[str, Any]]) -> str | None:
    """Return a hash of all that the picture is made from; None where losses are not lossbench's own."""
    if any(strangers(node, "loss", ()) for node in nodes.values()):
        return None
    source = sha256()
    for room in ("losses", "catalogue", "tasks"):
        for path in sorted((PACKAGE / room).glob("**/*.py")):
            source.update(path.read_bytes())
    return digest({
        "nodes": nodes, "order": list(nodes), "baseline": analysis.baseline, "endings": _endings(analysis),
        "task": analysis.comparison.task.name,
        "source": source.hexdigest(), "by": [version("torch"), version("matplotlib")],
    })  # fmt: skip


def _draw(analysis: Analysis, nodes: dict[str, dict[str, Any]], folder: Path) -> tuple[str, str]:
    """Draw; return what stands for the picture, "" where there is none, and what could not be drawn."""
    curves, dropped = dict[str, Curve](), list[str]()
    problems, failed = [], defaultdict[str, list[str]](list)
    for label, node in nodes.items():
        if unknown := strangers(node, "loss", analysis.options.trust):
            problems.append(
                f"The curves of {label} are not drawn: its record names {unknown[0]}, which is not lossbench's and is "
                f"not imported. If you know it: trust=[{','.join(unknown)}]."
            )
            continue
        if len(curves) == MOST_LOSSES:
            dropped.append(label)
            continue
        try:
            curves[label] = _curve(node, analysis.comparison.task)
        except Exception as error:
            failed[first_line(error)].append(label)
    problems += [f"The curves of {', '.join(labels)} are not drawn: {told}" for told, labels in failed.items()]
    if dropped:
        problems.append(f"Only {MOST_LOSSES} losses are drawn as curves; left out: {', '.join(dropped)}.")
    if not curves:
        return "", " ".join(problems)
    try:
        draw_curves(curves, folder / NAME, analysis.baseline, _endings(analysis))
    except Exception as error:
        return "", " ".join([*problems, f"The curves of the losses are not drawn: {first_line(error)}"])
    return _alt(curves, _axis(analysis)), " ".join(problems)


def _curve(node: dict[str, Any], task: Task) -> Curve:
    """Return the curves of a loss: those that are kept, or else from what it computes."""
    if (kept := kept_curve(node, task.name)) is not None:
        return kept
    from lossbench.catalogue.binding import bind
    from lossbench.catalogue.curves import sampled

    context = TWO_CLASSES if task.has_classes else {}
    return single(sampled(bind(locate(node["_target_"]), hyperparameters(node), context, task.name)))


def _axis(analysis: Analysis) -> str:
    of_residual = analysis.comparison.task.curves == "residual"
    return "the residual" if of_residual else "the margin of the true class of two classes"


def _picture(analysis: Analysis, alt: str) -> Picture:
    caption = (
        f"Value, slope and curvature of each compared loss for one sample over {_axis(analysis)}; computed from the "
        "definitions, not from runs."
    )
    return Picture(NAME, "The losses", caption, None, alt)


def _alt(curves: dict[str, Curve], axis: str) -> str:
    """Write the value and the slope of each loss at two places."""
    told = {
        label: ", ".join(f"{number(value)} ({number(slope)})" for value, slope in zip(*curve.at_one, strict=True))
        for label, curve in curves.items()
    }
    return in_numbers(f"Value (slope) where {axis} is -1 and 1", told)


def _distinct(analysis: Analysis) -> dict[str, dict[str, Any]]:
    """Return the config of each loss once: weightings and heads leave the function as it is."""
    nodes: dict[str, dict[str, Any]] = {}
    for label in sorted(analysis.comparison.entries, key=len):
        node = next(iter(analysis.comparison.entries[label].values()))["config"]["loss"]
        if node not in nodes.values():
            nodes[label] = node
    return {label: nodes[label] for label in analysis.comparison.entries if label in nodes}
