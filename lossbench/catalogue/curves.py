"""Losses side by side: value, slope and curvature over the margin of the true class, or over the residual."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from lossbench.catalogue.examine.example_batch import example_batch
from lossbench.errors import ConfigError
from lossbench.losses.bound_loss import BoundLoss
from lossbench.tasks import task_named, tasks
from lossbench.tasks.loss_lines import alike, line_of, marked_sparsely, name_ends
from lossbench.tasks.loss_style import style_of

TWO_CLASSES: dict[str, Any] = {
    "class_counts": [10, 1000],
    "num_classes": 2,
    "max_epochs": 1,
    "num_samples": 1010,
    "train_size": 1010,
    "num_features": 4,
}
"""The run context of the curves: class 0, the true one, is rare."""
TEACHER = 2.0
"""The margin of the teacher, for a loss that learns from one."""
MAX_LOSSES = 20
WIDTH = 9.5
"""Inches: a page that is narrower than this makes the letters smaller."""
MARKED = 10
"""The lines of so many losses have markers; of more only those that share colour and dashes."""
REACH = {"residual": 5.0, "linear": 6.0, "cosine": 2.0}
"""How far the curves go to both sides; two cosines differ by at most 2."""

_PANELS = ("value", "slope (first derivative)", "curvature (second derivative)")
_POINTS = 600  # even: the kinks at 0 fall between two points
_WITHIN = 3.0  # the axes show this many times the reach of the median loss

Curves = tuple[Tensor, Tensor, Tensor]
Sampled = tuple[Tensor, Tensor, Tensor, Tensor]


def curves(loss: BoundLoss, x: Tensor) -> Curves:
    """Return value, slope and curvature of a loss over the margin or the residual, in float64.

    Formula: L(x), dL/dx, d^2L/dx^2

    For classification x is the margin of the true class: two classes have the logits (x/2, -x/2) and the true class is
    0; a loss of one logit has the logit x and the true class is 1. For regression x is the residual, target -
    prediction, at a target of 0.

    Parameters
    ----------
    loss : BoundLoss
        The loss; one that asks for class counts is bound to two of them (`TWO_CLASSES`).
    x : Tensor (N,)
        Margins or residuals.

    Returns
    -------
    tuple of three Tensor (N,)
        In float64. Where a derivative jumps, its own derivative is that of one side.

    Examples
    --------
    >>> from lossbench import load_loss
    >>> [curve.item() for curve in curves(load_loss("mse"), torch.tensor([3.0]))]
    [9.0, 6.0, 2.0]

    """
    loss = loss.copy()  # one value for each point, whatever a loaded loss makes of them
    free = x.detach().double().requires_grad_()
    outputs, target = _outputs_and_target(loss, free)
    one_sample = example_batch(loss, 2, samples=1)[2]
    context = {
        key: entry.expand(len(x), *entry.shape[1:]) if torch.is_tensor(entry) else entry
        for key, entry in one_sample.items()
    }
    if "teacher_logits" in loss.step_context:
        context["teacher_logits"] = _outputs_and_target(loss, torch.full_like(x, TEACHER, dtype=torch.float64))[0]
    if loss.declaration.coupled or loss.module is not None:  # each point as if it came alone, and first
        rows = range(len(x))
        points = [{key: _row(entry, row) for key, entry in context.items()} for row in rows]
        value = torch.cat([loss.copy()(outputs[row : row + 1], target[row : row + 1], **points[row]) for row in rows])
    else:
        value = loss(outputs, target, **context)
    return with_derivatives(value, free)


@matplotlib.rc_context({"text.parse_math": False, "lines.scale_dashes": False})  # a name is no formula
def draw_loss_curves(
    losses: Mapping[str, BoundLoss], path_stem: Path, baseline: str = "", endings: Sequence[str] = ("png", "svg")
) -> list[Path]:
    """Draw value, slope and curvature of losses in three panels; return the paths of the files.

    Parameters
    ----------
    losses : dict
        Up to 20 bound losses by their label: all of regression, or all of classification.
    path_stem : Path
        Where to write, without the ending.
    baseline : str
        The label of one whose line is thicker.
    endings : sequence of str, optional
        The files that are written: "png", "svg", "pdf".

    Raises
    ------
    ConfigError
        If there are too many losses to tell apart, they can't share an axis, or the files can't be written.

    """
    _check_drawable(losses)
    drawn = {label: _sampled(loss) for label, loss in losses.items()}
    labels, twins, marked = _labels_with_twins(drawn), alike(drawn), len(drawn) <= MARKED
    figure = Figure(figsize=(WIDTH, 4.2 + 0.1 * len(losses)), layout="constrained")
    for axes, title, order in zip(figure.subplots(1, 3), _PANELS, (1, 2, 3), strict=True):
        for label, (name, entry) in zip(labels, drawn.items(), strict=True):
            look = marked_sparsely(line_of(name, baseline, marked=marked or name in twins), len(entry[0]))
            depth = 0.1 * bool(style_of(name).dashes)  # solid lines lie at the bottom, broken ones let them through
            shown = f"{label} (baseline)" if name == baseline else label
            axes.plot(entry[0], entry[order], label=shown, **{**look, "zorder": 2 + depth})
        name_ends(axes, [label for label, name in zip(labels, drawn, strict=True) if name in alike(drawn, marked=True)])
        beyond = _limit(axes, {label: entry[order] for label, entry in drawn.items()})
        axes.set_title("\n".join([title, *textwrap.wrap(beyond, int(4 * WIDTH))]), fontsize=10)
        axes.set_xlabel(_x_label(losses))
        axes.axvline(0, color="black", linewidth=0.6, alpha=0.5)
        axes.grid(alpha=0.25)
    columns = min(len(labels), 5, max(1, int(14 * WIDTH) // (6 + max(map(len, labels)))))  # 14 small letters an inch
    lines = axes.get_legend_handles_labels()
    figure.legend(*lines, loc="outside lower center", ncols=columns, frameon=False, fontsize=9, handlelength=3.4)
    figure.suptitle(_caption(losses), fontsize=9, color="#444444")
    return [_save(figure, path_stem, ending) for ending in endings]


def drawn_over(loss: BoundLoss) -> str:
    """Return over what a loss is drawn: "margin" or "residual"; "" if it can't be drawn."""
    return task_named(loss.declaration.task).curves


def curved_tasks() -> list[str]:
    """Return the tasks whose losses can be drawn."""
    return sorted(name for name, task in tasks().items() if task.curves)


def _outputs_and_target(loss: BoundLoss, x: Tensor) -> tuple[Tensor, Tensor]:
    if drawn_over(loss) == "residual":
        return -x, torch.zeros_like(x)
    if not loss.declaration.takes_classes:
        return x, torch.ones_like(x)
    return torch.stack([x / 2, -x / 2], dim=1), torch.zeros(len(x), dtype=torch.int64)


def _row(entry: Any, row: int) -> Any:
    return entry[row : row + 1] if torch.is_tensor(entry) else entry


def with_derivatives(value: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return values at points x, and what automatic differentiation makes of them: slope and curvature."""
    slope = _derivative(value, x)
    return value.detach(), slope.detach(), _derivative(slope, x).detach()


def _derivative(y: Tensor, x: Tensor) -> Tensor:
    if not y.requires_grad:  # a slope that is constant
        return torch.zeros_like(x)
    (derivative,) = torch.autograd.grad(y.sum(), x, create_graph=True, materialize_grads=True)
    return derivative


def _sampled(loss: BoundLoss) -> Sampled:
    declaration = loss.declaration
    reach = REACH["residual" if drawn_over(loss) == "residual" else declaration.head]
    x = torch.linspace(-reach, reach, _POINTS, dtype=torch.float64)
    return x, *curves(loss, x)


def _check_drawable(losses: Mapping[str, BoundLoss]) -> None:
    if len(losses) > MAX_LOSSES:
        raise ConfigError(f"{len(losses)} losses in one figure: at most {MAX_LOSSES} can be told apart. Draw fewer.")
    without = [label for label, loss in losses.items() if not drawn_over(loss)]
    if without:
        raise ConfigError(
            f"{', '.join(without)}: a loss is drawn over one number, the margin or the residual; there are curves for "
            f"the tasks {', '.join(curved_tasks())}."
        )
    regression = [label for label, loss in losses.items() if drawn_over(loss) == "residual"]
    others = [label for label in losses if label not in regression]
    if regression and others:
        raise ConfigError(
            f"losses of regression ({', '.join(regression)}) are drawn over the residual, losses of classification "
            f"({', '.join(others)}) over the margin: they can't share a figure. Draw them in two."
        )


def _limit(axes: Axes, heights: dict[str, Tensor]) -> str:
    """Keep a steep loss from flattening all others; return what leaves the panel, in words."""
    peaks = {label: height.abs().max().item() for label, height in heights.items()}
    limit = _WITHIN * sorted(peaks.values())[(len(peaks) - 1) // 2]
    beyond = [f"{_name(label)} to {peak:.3g}" for label, peak in peaks.items() if peak > limit > 0]
    if not beyond:
        return ""
    within = torch.cat(list(heights.values())).clamp(-limit, limit)
    low, high = within.min().item(), within.max().item()
    axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    return f"beyond the panel, in size: {', '.join(beyond)}"


def _labels_with_twins(drawn: dict[str, Sampled]) -> list[str]:
    """Name beside each loss the first one whose curves it covers: = if they are the same, ≈ if they look the same."""
    labels = []
    known = list(drawn)
    for index, label in enumerate(known):
        twins = ((other, _sign(drawn[other], drawn[label])) for other in known[:index])
        labels.append(next((f"{label} {sign} {_name(other)}" for other, sign in twins if sign), label))
    return labels


def _sign(one: Sampled, other: Sampled) -> str:
    if not torch.equal(one[0], other[0]):
        return ""
    apart = max(((a - b).abs().max() / a.abs().max().clamp(min=1e-12)).item() for a, b in zip(one, other, strict=True))
    return "=" if apart < 1e-6 else "≈" if apart < 0.02 else ""


def _name(label: str) -> str:
    return label.partition(" (")[0]


def _x_label(losses: Mapping[str, BoundLoss]) -> str:
    if drawn_over(next(iter(losses.values()))) == "residual":
        return "residual: target − prediction"
    return "margin: the true class − the other"


def _caption(losses: Mapping[str, BoundLoss]) -> str:
    counted = [_name(label) for label, loss in losses.items() if "class_counts" in loss.settings]
    cosine = [_name(label) for label, loss in losses.items() if loss.declaration.head == "cosine"]
    rare, common = TWO_CLASSES["class_counts"]
    lines = []
    if counted:
        lines.append(f"True class with {rare} training samples, the other with {common}: {', '.join(counted)}.")
    if cosine:
        lines.append(f"Outputs are cosines, so that the margin ends at ±2: {', '.join(cosine)}.")
    taught = [_name(label) for label, loss in losses.items() if "teacher_logits" in loss.step_context]
    if taught:
        lines.append(f"The teacher has a margin of {TEACHER:g}: {', '.join(taught)}.")
    return "\n".join(lines)


def _save(figure: Figure, path_stem: Path, ending: str) -> Path:
    path = path_stem.with_name(f"{path_stem.name}.{ending}")
    undated = {"metadata": {"CreationDate" if ending == "pdf" else "Date": None}}
    settings: dict[str, Any] = {"dpi": 130} if ending == "png" else undated
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with matplotlib.rc_context({"pdf.fonttype": 42}):  # TrueType, as journals ask for
            figure.savefig(path, **settings)
    except OSError as error:
        raise ConfigError(
            f"output={path}: can't write there ({error.strerror}). Choose another: output=PATH."
        ) from error
    return path
