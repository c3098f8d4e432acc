"""How a loss is drawn: one colour, one line style and one marker, in every picture, page and report."""

from dataclasses import dataclass
from hashlib import sha256

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6a3d9a")
DASHES: tuple[tuple[int, ...], ...] = ((), (6, 2), (2, 2), (6, 2, 2, 2))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


@dataclass(frozen=True)
class LossStyle:
    """How a loss is drawn.

    Parameters
    ----------
    color : str
        As `#rrggbb`.
    dashes : tuple of int
        Lengths of strokes and gaps in points; empty for a solid line.
    marker : str
        As matplotlib names it.

    """

    color: str
    dashes: tuple[int, ...]
    marker: str


def style_of(label: str) -> LossStyle:
    """Return how a loss is drawn, by its label in a comparison: the same wherever and beside whatever it stands.

    Examples
    --------
    >>> style_of("focal") == style_of("focal")
    True

    """
    number = int.from_bytes(sha256(label.encode()).digest()[:4], "big")
    return LossStyle(COLORS[number % 7], DASHES[number // 7 % 4], MARKERS[number // 28 % 8])
