"""What a notebook shows of a loss: its formula, settings and source, and its curve."""

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import torch

from lossbench.catalogue.curves import curves, drawn_over
from lossbench.catalogue.loss_picture import REACH, TWO_CLASSES
from lossbench.losses.bound_loss import BoundLoss
from lossbench.losses.facts import declared_losses, sections_of
from lossbench.tasks.loss_style import style_of

_WIDTH, _HEIGHT, _EDGE = 260, 130, 18
_POINTS = 60  # even: the kinks at 0 fall between two points
_OVER = {"margin": "margin of the true class", "residual": "target − prediction"}


def card(loss: BoundLoss, told: Mapping[str, str], rebind: Callable[[Mapping[str, Any]], BoundLoss]) -> str:
    """Return a loss as HTML, all text of it escaped.

    Parameters
    ----------
    loss : BoundLoss
        A loss of the catalogue.
    told : mapping
        Its settings in words.
    rebind : callable
        Binds it to the two classes of its curve, which is that of its first call: nothing learned, nothing remembered.

    """
    facts, ranges = declared_losses()[loss.name], loss.declaration.ranges
    formula = sections_of(facts.docstring)[""].split("\n\n")[1].removeprefix("Formula: ")
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td><code>{escape(value)}</code></td>"
        f"<td>{escape(ranges.get(name, ''))}</td></tr>"
        for name, value in told.items()
    )
    table = f"<table><tr><th>setting</th><th>value</th><th>allowed</th></tr>{rows}</table>" if rows else ""
    return (
        f"<div><b>{escape(loss.name)}</b> ({escape(loss.declaration.task)}): {escape(facts.summary)}"
        f'<pre style="white-space:pre-wrap">{escape(formula)}</pre>{table}'
        f"<p>{escape(loss.declaration.source)}</p>{_curve(rebind)}</div>"
    )


def _curve(rebind: Callable[[Mapping[str, Any]], BoundLoss]) -> str:
    """Return the curve of a loss as SVG; nothing for one that has none, or whose settings are not for two classes."""
    with torch.random.fork_rng(devices=[]):  # to look at a loss changes no training
        torch.manual_seed(0)  # some losses draw pairs at random
        try:
            loss = rebind(TWO_CLASSES)
            over = drawn_over(loss)
            if not over:
                return ""
            reach = REACH["residual" if over == "residual" else loss.declaration.head]
            x = torch.linspace(-reach, reach, _POINTS, dtype=torch.float64)
            value = curves(loss, x)[0]
        except (ValueError, RuntimeError, IndexError):
            return ""
    if not value.isfinite().all():
        return ""
    return _svg(x.tolist(), value.tolist(), loss.name, _OVER[over])


def _svg(x: list[float], y: list[float], name: str, axis: str) -> str:
    low, high, reach = min(y), max(y), x[-1]
    across, up = (_WIDTH - 2 * _EDGE) / (2 * reach), (_HEIGHT - 2 * _EDGE) / ((high - low) or 1.0)
    points = " ".join(
        f"{_EDGE + across * (one + reach):.1f},{_HEIGHT - _EDGE - up * (other - low):.1f}"
        for one, other in zip(x, y, strict=True)
    )
    told = escape(f"{name} over the {axis}: from {y[0]:.3g} at {-reach:g} to {y[-1]:.3g} at {reach:g}")
    written = 'font-size="10" fill="currentColor" text-anchor'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{_WIDTH}" height="{_HEIGHT}"><title>{told}</title>'
        f'<line x1="{_WIDTH / 2}" x2="{_WIDTH / 2}" y1="{_EDGE}" y2="{_HEIGHT - _EDGE}" stroke="currentColor" '
        f'stroke-opacity="0.4"/><polyline points="{points}" fill="none" stroke="{style_of(name).color}" '
        'stroke-width="1.7"/>'
        f'<text x="4" y="11" {written}="start">{low:.3g} to {high:.3g}</text>'
        f'<text x="4" y="{_HEIGHT - 4}" {written}="start">{-reach:g}</text>'
        f'<text x="{_WIDTH - 4}" y="{_HEIGHT - 4}" {written}="end">{reach:g}</text>'
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 4}" {written}="middle">{escape(axis)}</text>'
        "</svg>"
    )
