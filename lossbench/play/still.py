"""Pictures for whoever opens the page without JavaScript, or before it has run: the curves of a lesson, as SVG."""

from collections.abc import Iterable, Sequence

import torch
from markupsafe import Markup, escape
from torch import Tensor

from lossbench.losses.bound_loss import BoundLoss
from lossbench.play.choice import bound, is_residual
from lossbench.play.measure import State, curves_at, loss_at, measured
from lossbench.tasks.loss_style import style_of

SHOWN = 6.0
"""How far the curves are drawn to both sides, as on the page."""
WIDTH, HEIGHT, ROW = 330, 250, 20
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 320, 26, 214
_X = torch.linspace(-SHOWN, SHOWN, 41, dtype=torch.float64)


def still(state: State) -> Markup:
    """Draw value and slope of the losses of a state over residual or margin, and say below what each picks.

    Examples
    --------
    >>> drawn = still(State(("mse", "mae"), share=0.1))
    >>> drawn.count("<polyline"), "mse picks 0.50" in drawn
    (4, True)

    """
    losses = {name: loss_at(name, state.settings, state.ratio) for name in state.losses}
    over = "residual: target − prediction" if is_residual(losses[state.losses[0]]) else "margin of the right class"
    found = measured(state)
    told = {name: f"{name} picks {_written(getattr(found, name).best, 2)}" for name in losses}
    places = {name: _within(loss) for name, loss in losses.items()}
    drawn = {name: curves_at(loss, places[name], state.right) for name, loss in losses.items()}
    panels = [
        _panel(title, {name: each[order] for name, each in drawn.items()}, places, over)
        for order, title in enumerate(("value", "slope"))
    ]
    keys = [f"<span>{_key(name)} {escape(text)}</span>" for name, text in told.items()]
    return Markup(f'<div class="stills">{"".join(panels)}</div><p class="row">{"".join(keys)}</p>')


def first_of(names: Sequence[str], first: Sequence[str]) -> State:
    """Return what is drawn of a page without lessons: up to four losses of one kind, those of `first` before others."""
    ordered = [*(name for name in first if name in names), *(name for name in names if name not in first)]
    alike = [name for name in ordered if is_residual(bound(name)) == is_residual(bound(ordered[0]))]
    return State(tuple(alike[:4]))


def _within(loss: BoundLoss) -> Tensor:
    """Return where a loss is drawn: where its outputs are cosines their difference ends at 2."""
    return _X[_X.abs() <= 2 + 1e-9] if loss.declaration.head == "cosine" else _X


def _panel(title: str, curves: dict[str, Tensor], places: dict[str, Tensor], over: str) -> str:
    """Draw one panel; a steep loss leaves it, so that it does not flatten all others."""
    peaks = sorted(curve.abs().max().item() for curve in curves.values())
    limit = 3 * (peaks[(len(peaks) - 1) // 2] or peaks[-1] or 1.0)
    heights = torch.cat(list(curves.values())).clamp(-limit, limit)
    low, high = min(0.0, heights.min().item()), max(0.0, heights.max().item())
    low, high = low - 0.06 * (high - low or 1.0), high + 0.06 * (high - low or 1.0)

    def x(at: float) -> float:
        return _LEFT + (at + SHOWN) / (2 * SHOWN) * (_RIGHT - _LEFT)

    def y(at: float) -> float:
        return _BOTTOM - (at - low) / (high - low) * (_BOTTOM - _TOP)

    parts = [f'<text class="title" x="{_LEFT}" y="14">{title}</text>']
    for at in (-6.0, -3.0, 0.0, 3.0, 6.0):
        parts.append(f'<line class="grid" x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{_TOP}" y2="{_BOTTOM}"/>')
        parts.append(
            f'<text class="tick" text-anchor="middle" x="{x(at):.1f}" y="{_BOTTOM + 14}">{_written(at)}</text>'
        )
    ends = (round(end, 1 if abs(end) < 10 else 0) for end in (0.94 * low, 0.94 * high))
    for at in (0.0, *(end for end in ends if abs(y(end) - y(0.0)) > ROW)):
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y(at):.1f}" y2="{y(at):.1f}"/>')
        parts.append(f'<text class="tick" text-anchor="end" x="{_LEFT - 5}" y="{y(at) + 4:.1f}">{_written(at)}</text>')
    parts.append(f'<text class="tick" text-anchor="end" x="{_RIGHT}" y="{HEIGHT - 6}">{over}</text>')
    size = f'width="{_RIGHT - _LEFT}" height="{_BOTTOM - _TOP}"'
    window = f'viewBox="{_LEFT} {_TOP} {_RIGHT - _LEFT} {_BOTTOM - _TOP}"'
    lines = [
        f'<polyline {_look(name)} points="{_points(map(x, places[name].tolist()), map(y, curve.tolist()))}"/>'
        for name, curve in curves.items()
    ]
    inside = f'<svg x="{_LEFT}" y="{_TOP}" {size} {window}>{"".join(lines)}</svg>'
    alone = f'role="img" aria-label="{title} of {escape(", ".join(curves))} over the {over}"'
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" {alone}>{"".join(parts)}{inside}</svg>'


def _written(number: float, digits: int | None = None) -> str:
    text = f"{number:g}" if digits is None else f"{number:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def _points(across: Iterable[float], down: Iterable[float]) -> str:
    return " ".join(f"{x:.0f},{y:.1f}" for x, y in zip(across, down, strict=True) if abs(y) < 10 * HEIGHT)


def _key(name: str) -> str:
    line = f'<line x2="40" y1="5" y2="5" {_look(name)}/>'
    return f'<svg class="key" viewBox="0 0 40 10" aria-hidden="true">{line}</svg>'


def _look(name: str) -> str:
    style = style_of(name)
    dashes = " ".join(map(str, style.dashes)) or "none"
    return f'class="line" stroke="{style.color}" stroke-dasharray="{dashes}"'
