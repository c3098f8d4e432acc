"""Pictures of matplotlib in the page itself: line art that takes the colours of the page, light or dark."""

import base64
import re
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from lossbench.compare.report.figures.drawing import Picture, save
from lossbench.compare.report.legible import entries_of, notes_of, pixels_a_point

MOST_BYTES = 400_000
"""A picture with more line art than this is in the page as pixels, unless those take more."""
_TITLE, _LABELS = 30.0, 32.0
"""Points above and below a panel that its title, its numbers and its names take."""
_HALF_A_NUMBER = 5.5
"""Points below a panel that the lowest number beside it takes; the numbers below the panel lie lower."""
_BEYOND = 7.5
"""Points that the first and the last number below a panel reach beyond its sides."""
COLORBAR = "<colorbar>"
ENTRY = 1.5
"""Pixels a point of the legend on narrow screens."""
_LEFT_OUT = (
    r"<\?xml.*?\?>", r"<!DOCTYPE.*?>", r"<!--.*?-->", r"<metadata>.*?</metadata>", r"<style.*?</style>",
    r"(?<=\d\d\.\d\d)\d+", r"(?<=\n)\s+", r"(?<=>)\s+(?=<)",
)  # fmt: skip
_DROPPED = re.compile("|".join(_LEFT_OUT), re.DOTALL)
_GLYPH = re.compile(r'<path id="([^"]+)" d="([^"]*)" transform="scale\(0\.015625\)"/>')
_NAME = re.compile(r'((?: id=")|(?:xlink:href="#)|(?:url\(#))([^")]+)')
_COLOR = re.compile(r'(<g style="fill|fill|stroke): #([0-9a-f]{6})(?=[;"])')  # a group that is filled holds letters


@dataclass(frozen=True)
class Embedded:
    """A picture as it lies in the page.

    Parameters
    ----------
    whole : Markup
        The element.
    panels : list of Markup
        Elements that show one panel each, for narrow screens, and before them the notes and each line of the legend;
        none if it has only one panel and no legend beside it.

    """

    whole: Markup
    panels: list[Markup] = field(default_factory=list)


@dataclass(frozen=True)
class Part:
    """A part of a picture: where it is, in points from below, and the names of the elements that are drawn there.

    A page builds an element anew for each part that names it: the whole of 40 panels for each would be 1,600 panels.
    """

    box: Bbox
    elements: tuple[str, ...]


class Glyphs:
    """The letters of all pictures of a page, each once."""

    def __init__(self) -> None:
        self.paths: dict[str, str] = {}

    def taken(self, svg: str) -> str:
        """Take the letters out of a picture, which refers to those of the page."""
        found = dict(_GLYPH.findall(svg))
        self.paths.update(found)
        svg = _GLYPH.sub("", svg)
        return re.sub(r'xlink:href="#([^"]+)"', lambda one: _of_page(one[1], found), svg)

    @property
    def drawn(self) -> Markup:
        """The element that holds them."""
        paths = "".join(
            f'<path id="glyph-{name}" d="{path}" transform="scale(0.015625)"/>' for name, path in self.paths.items()
        )
        return Markup(f'<svg class="glyphs" aria-hidden="true"><defs>{paths}</defs></svg>')


def _of_page(name: str, glyphs: dict[str, str]) -> str:
    return f'href="#glyph-{name}"' if name in glyphs else f'xlink:href="#{name}"'


def embed(picture: Picture, folder: Path, glyphs: Glyphs, panels: bool = True) -> Embedded:
    """Save a picture as files and return it for the page: as SVG, or as PNG if that is much smaller.

    Parameters
    ----------
    picture : Picture
        What is drawn; without a figure, its files are in the folder.
    folder : Path
        Of the files.
    glyphs : Glyphs
        Takes the letters.
    panels : bool
        Whether narrow screens have a window on each panel.

    """
    if picture.figure is not None:
        _keep_letters_on_colors(picture.figure)
        for k, axes in enumerate(picture.figure.axes):
            axes.set_gid(f"panel_{k}")
    save(picture, folder)
    written = (folder / f"{picture.name}.svg").read_text(encoding="utf-8")
    svg = _as_line_art(written)
    width, height = map(float, re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)[0])
    scale = pixels_a_point(written)
    legible = f'style="--legible:{scale * width:.0f}px"'
    png = base64.b64encode((folder / f"{picture.name}.png").read_bytes()).decode()
    alt = Markup.escape(picture.alt or picture.title)
    if len(svg) > max(MOST_BYTES, len(png)):
        return Embedded(Markup(f'<img class="pixels" {legible} alt="{alt}" src="data:image/png;base64,{png}">'))
    name = f"picture-{picture.name}"
    svg = _NAME.sub(lambda one: f"{one[1]}{name}-{one[2]}", glyphs.taken(svg)).replace("xlink:href", "href")
    inner = svg[svg.index(">", svg.index("<svg")) + 1 : svg.rindex("</svg>")]
    box = f'viewBox="0 0 {width} {height}"'
    whole = f'<svg class="picture" role="img" aria-label="{alt}" {legible} {box}>{inner}</svg>'
    if not panels:
        return Embedded(Markup(whole))
    rows = [Part(box, (legend,)) for legend, box in entries_of(written, height)]
    if picture.figure is None:
        drawn = _columns(inner, height, name, scale)
    else:
        drawn = _panels(picture.figure, name, scale, least=1 if rows else 2)
    if not drawn:
        return Embedded(Markup(whole))
    notes = [Markup('<p class="caption">{}</p>').format(note) for note in notes_of(written)]
    entries = [_window([row], height, name, ENTRY, entry=True) for row in rows]
    return Embedded(Markup(whole), [*notes, *entries, *drawn])


def _as_line_art(svg: str) -> str:
    """Leave out what a page has already; black, white and greys become names that the page gives a colour."""
    return _COLOR.sub(lambda found: f"{found[1]}: {_ink(found[2], found[1] == 'fill')}", _DROPPED.sub("", svg))


def _ink(color: str, area: bool) -> str:
    red, green, blue = (int(color[k : k + 2], 16) for k in (0, 2, 4))
    if max(red, green, blue) - min(red, green, blue) > 8 or color in _ON_COLORS:
        return f"#{color}"
    level = (red + green + blue) / 3
    if color == "ffffff":
        return "var(--back)"
    if level < 0x70:
        return "var(--area)" if area else "var(--text)" if level < 0x30 else "var(--dark)"
    return f"#{color}" if level < 0xD0 else "var(--panel)"


_ON_COLORS = {"010101": "000000", "fefefe": "ffffff"}
"""Letters on colours, which stay as they are."""


def _keep_letters_on_colors(figure: Figure) -> None:
    """Mark the letters on images and colour meshes: black and white there do not change with the page."""
    kept = {f"#{color}": f"#{mark}" for mark, color in _ON_COLORS.items()}
    for axes in figure.axes:
        if axes.images:
            for text in axes.texts:
                color = to_hex(text.get_color())
                text.set_color(kept.get(color, color))


def _panels(figure: Figure, name: str, legible: float, least: int) -> list[Markup]:
    """Return a window on each panel of a picture, with the names of axes that it shares, and on its colour bars."""
    if len(figure.axes) < least:
        return []
    figure.set_dpi(72)
    renderer = FigureCanvasAgg(figure).get_renderer()
    found: list[tuple[Axes, Part]] = []
    for axes in figure.axes:
        box = axes.get_tightbbox(renderer)
        if box is not None:
            _add(found, axes, Part(Bbox(box.get_points()), (str(axes.get_gid()),)))
    bars = [part for axes, part in found if axes.get_label() == COLORBAR]
    panels = [(axes, part) for axes, part in found if axes.get_label() != COLORBAR]
    if len(panels) < least or all(axes.images and not len(axes.get_xticks()) for axes, _ in panels):
        return []  # a sheet of images is moved sideways: one a row would be a column of dozens
    height = figure.get_figheight() * 72
    drawn = [_window([part, *_shared_names(axes, part.box, panels)], height, name, 2, legible) for axes, part in panels]
    return [*(_window([bar], height, name, 1.3, legible) for bar in bars), *drawn]


def _columns(svg: str, height: float, name: str, legible: float) -> list[Markup]:
    """Return a window on each panel of a row, of a picture that is known only as line art."""
    frames = re.findall(r'id="[^"]*-(axes_\d+)">\s*<g id="[^"]*"><path d="([^"]*)"', svg)
    corners = [list(map(float, re.findall(r"-?[\d.]+", frame))) for _, frame in frames]
    if len(corners) < 2 or len({(max(each[1::2]), min(each[1::2])) for each in corners}) > 1:
        return []
    panels = zip(corners, frames, strict=True)
    sides = sorted((min(each[::2]), max(each[::2]), axes) for each, (axes, _) in panels)
    edges = [0.0, *(right + 0.12 * (left - right) for (_, right, _), (left, *_) in pairwise(sides)), sides[-1][1] + 8]
    upper = max(0.0, min(corners[0][1::2]) - _TITLE)
    lower = min(height, max(corners[0][1::2]) + _LABELS)
    boxes = (Bbox.from_extents(left, height - lower, right, height - upper) for left, right in pairwise(edges))
    parts = (Part(box, (axes,)) for box, (*_, axes) in zip(boxes, sides, strict=True))
    return [_window([part], height, name, 2, legible) for part in parts]


def _add(found: list[tuple[Axes, Part]], axes: Axes, part: Part) -> None:
    """Add a panel; one that lies in another, such as an inset or a second axis, belongs to it."""
    for k, (first, other) in enumerate(found):
        both = Bbox.intersection(part.box, other.box)
        smaller = min(each.width * each.height for each in (part.box, other.box))
        if both is not None and both.width * both.height > 0.5 * smaller:
            found[k] = first, Part(Bbox.union([part.box, other.box]), other.elements + part.elements)
            return
    found.append((axes, part))


def _shared_names(axes: Axes, box: Bbox, panels: list[tuple[Axes, Part]]) -> list[Part]:
    """Return where the numbers beside and below a panel stand, if another one of its row or column has them."""
    place = axes.get_subplotspec()
    if place is None:
        return []
    beside = below = None
    for other, part in panels:
        there, inner, outer = other.get_subplotspec(), other.get_window_extent(), part.box
        if there is None or other is axes:
            continue
        if there.rowspan == place.rowspan and _has_names(other, "left") and not _has_names(axes, "left"):
            left = Bbox.from_extents(outer.x0, inner.y0 - _HALF_A_NUMBER, inner.x0, box.y1)
            beside = beside or Part(left, part.elements)
        if there.colspan == place.colspan and _has_names(other, "bottom") and not _has_names(axes, "bottom"):
            lower = Bbox.from_extents(box.x0 - _BEYOND, outer.y0, box.x1 + _BEYOND, inner.y0 - _HALF_A_NUMBER)
            below = Part(lower, part.elements)
    return [strip for strip in (beside, below) if strip is not None]


def _has_names(axes: Axes, side: str) -> bool:
    axis = axes.yaxis if side == "left" else axes.xaxis
    return bool(axis.get_tick_params()[f"label{side}"])


def _window(
    parts: list[Part], height: float, name: str, scale: float, legible: float = 0.0, entry: bool = False
) -> Markup:
    """Show parts of a picture as one: the first, those beside it on its left, those below it under it.

    It is as wide as the screen, but not wider than `scale` pixels a point or narrower than `legible` ones; an entry of
    a legend is as wide as `scale` says.
    """
    box, *strips = (part.box for part in parts)
    beside = [strip.x1 <= box.x1 and strip.y1 == box.y1 for strip in strips]
    left = sum(strip.width for strip, is_left in zip(strips, beside, strict=True) if is_left)
    shown, down = [_drawn(parts[0], height, name, left, 0.0)], box.height
    for part, is_left in zip(parts[1:], beside, strict=True):
        if is_left:
            shown.append(_drawn(part, height, name, 0.0, 0.0))
        else:
            shown.append(_drawn(part, height, name, left - _BEYOND, down))
            down += part.box.height
    width = left + box.width + _BEYOND * (not all(beside))
    wide = f"width:{scale * width:.0f}px" if entry else f"max-width:{scale * width:.0f}px"
    narrow = f";min-width:{min(legible, scale) * width:.0f}px" if legible else ""
    return Markup(
        f'<svg class="picture{" entry" if entry else ""}" aria-hidden="true" style="{wide}{narrow}" '
        f'viewBox="-2 -2 {width + 4:.1f} {down + 4:.1f}">{"".join(shown)}</svg>'
    )


def _drawn(part: Part, height: float, name: str, x: float, y: float) -> str:
    box = part.box
    size = f'width="{box.width:.1f}" height="{box.height:.1f}"'
    window = f"{box.x0:.1f} {height - box.y1:.1f} {box.width:.1f} {box.height:.1f}"
    uses = "".join(f'<use href="#{name}-{element}"/>' for element in part.elements)
    return f'<svg x="{x:.1f}" y="{y:.1f}" {size} viewBox="{window}">{uses}</svg>'
