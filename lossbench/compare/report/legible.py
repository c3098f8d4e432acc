"""Letters of a picture that can be read on a narrow screen: how wide it has to be, and its legend and notes apart."""

import re
from collections.abc import Iterator

from matplotlib.transforms import Bbox

SMALLEST = 9.0
"""Pixels of a font that can be read on a phone."""
_FONT = re.compile(r"scale\((0\.\d+) -0")
_NOTE = re.compile(r'\n  <g id="text_\d+">\n   <!-- (.*?) -->', re.DOTALL)
_LEGEND = re.compile(r'\n  <g id="(legend_\d+)">(.*?)\n  </g>', re.DOTALL)
_MARKS = re.compile(r"<defs>.*?</defs>", re.DOTALL)
_TEXT = re.compile(r'<g id="text_\d+">(?:(?!<g id=).)*?translate\(([\d.]+) ([\d.]+)\) scale\((0\.\d+) -', re.DOTALL)
_NUMBERS = re.compile(r"-?[\d.]+")
_WIDEST, _ABOVE, _BELOW, _BESIDE = 100.0, 1.1, 0.45, 4.0
"""Of a letter in its own units; of a line of text in its font size; points that a line of a legend is drawn beyond."""


def pixels_a_point(svg: str) -> float:
    """Return how large a picture must be so that its smallest letters can be read.

    Examples
    --------
    >>> pixels_a_point('<g transform="translate(1 2) scale(0.09 -0.09)">')
    1.0

    """
    sizes = [100 * float(size) for size in _FONT.findall(svg)]
    return SMALLEST / max(6.0, min(sizes)) if sizes else 1.0


def notes_of(svg: str) -> list[str]:
    r"""Return the text that stands beside all panels, as matplotlib has written it.

    Examples
    --------
    >>> notes_of('\n  <g id="text_1">\n   <!-- dashed: a &lt; b -->')
    ['dashed: a < b']

    """
    return [note.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") for note in _NOTE.findall(svg)]


def entries_of(svg: str, height: float) -> list[tuple[str, Bbox]]:
    """Return the legend of all panels for each of its lines, and where that stands in points from below."""
    rows = [(name, row) for name, drawn in _LEGEND.findall(svg) for row in _rows(_MARKS.sub("", drawn))]
    return [
        (name, Bbox.from_extents(left, height - low, right, height - top)) for name, (left, top, right, low) in rows
    ]


def _rows(legend: str) -> Iterator[tuple[float, float, float, float]]:
    """Yield the sides of each text with what is drawn beside it: left, top, right, bottom."""
    before = 0
    for text in _TEXT.finditer(legend):
        x, y, scale = (float(number) for number in text.groups())
        end = legend.find("<g id=", text.end())
        letters = re.findall(r'transform="translate\(([\d.]+)', legend[text.end() : end if end > 0 else len(legend)])
        drawn = re.findall(r' d="([^"]*)"', legend[before : text.start()])
        left = min([x, *(float(number) for path in drawn[-1:] for number in _NUMBERS.findall(path)[::2])])
        font = 100 * scale
        right = x + scale * (max(map(float, letters), default=0.0) + _WIDEST)
        yield max(0.0, left - _BESIDE), y - _ABOVE * font, right, y + _BELOW * font
        before = text.end()
