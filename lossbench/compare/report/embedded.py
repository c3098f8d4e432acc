"""Pictures of matplotlib in the page itself: line art that takes the colours of the page, light or dark."""

import base64
import re
from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from lossbench.compare.report.figures.drawing import Picture, save

MOST_BYTES = 400_000
"""A picture with more line art than this is in the page as pixels, unless those take more."""
_LEFT_OUT = (
    r"<\?xml.*?\?>", r"<!DOCTYPE.*?>", r"<!--.*?-->", r"<metadata>.*?</metadata>", r"<style.*?</style>",
    r"(?<=\d\d\.\d\d)\d+", r"(?<=\n)\s+", r"(?<=>)\s+(?=<)",
)  # fmt: skip
_DROPPED = re.compile("|".join(_LEFT_OUT), re.DOTALL)
_GLYPH = re.compile(r'<path id="([^"]+)" d="([^"]*)" transform="scale\(0\.015625\)"/>')
_NAME = re.compile(r'((?: id=")|(?:xlink:href="#)|(?:url\(#))([^")]+)')
_COLOR = re.compile(r"(?<=: )#([0-9a-f]{6})(?=[;\"])")


@dataclass(frozen=True)
class Embedded:
    """A picture as it lies in the page.

    Parameters
    ----------
    whole : Markup
        The element.
    panels : list of Markup
        Elements that show one panel each, for narrow screens; none if it has only one.

    """

    whole: Markup
    panels: list[Markup] = field(default_factory=list)


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


def embed(picture: Picture, folder: Path, glyphs: Glyphs) -> Embedded:
    """Save a picture as files and return it for the page: as SVG, or as PNG if that is much smaller.

    Parameters
    ----------
    picture : Picture
        What is drawn; without a figure, its files are in the folder.
    folder : Path
        Of the files.
    glyphs : Glyphs
        Takes the letters.

    """
    if picture.figure is not None:
        _keep_letters_on_colors(picture.figure)
    save(picture, folder)
    svg = _as_line_art((folder / f"{picture.name}.svg").read_text(encoding="utf-8"))
    png = base64.b64encode((folder / f"{picture.name}.png").read_bytes()).decode()
    alt = Markup.escape(picture.alt or picture.title)
    if len(svg) > max(MOST_BYTES, len(png)):
        return Embedded(Markup(f'<img class="pixels" alt="{alt}" src="data:image/png;base64,{png}">'))
    name = f"picture-{picture.name}"
    svg = _NAME.sub(lambda one: f"{one[1]}{name}-{one[2]}", glyphs.taken(svg)).replace("xlink:href", "href")
    width, height = map(float, re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)[0])
    inner = svg[svg.index(">", svg.index("<svg")) + 1 : svg.rindex("</svg>")]
    box = f'viewBox="0 0 {width} {height}"'
    whole = f'<svg class="picture" role="img" aria-label="{alt}" {box}><g id="{name}">{inner}</g></svg>'
    return Embedded(Markup(whole), _panels(picture.figure, name))


def _as_line_art(svg: str) -> str:
    """Leave out what a page has already; black, white and greys become names that the page gives a colour."""
    return _COLOR.sub(lambda found: _ink(found[1]), _DROPPED.sub("", svg))


def _ink(color: str) -> str:
    red, green, blue = (int(color[k : k + 2], 16) for k in (0, 2, 4))
    if max(red, green, blue) - min(red, green, blue) > 8 or color in _ON_COLORS:
        return f"#{color}"
    level = (red + green + blue) / 3
    if color == "ffffff":
        return "var(--back)"
    return (
        "var(--text)"
        if level < 0x30
        else "var(--dark)"
        if level < 0x70
        else f"#{color}"
        if level < 0xD0
        else "var(--panel)"
    )


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


def _panels(figure: Figure | None, name: str) -> list[Markup]:
    """Return a window on each panel of a picture, and on what stands beside them."""
    if figure is None or len(figure.axes) < 2:
        return []
    figure.set_dpi(72)
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes: list[Bbox] = []
    for axes in figure.axes:
        box = axes.get_tightbbox(renderer)
        if box is not None:
            _add(boxes, box)
    if len(boxes) < 2:
        return []
    beside = [*figure.legends, *figure.texts]
    boxes = [*(each.get_window_extent(renderer) for each in beside), *boxes]
    height = figure.get_figheight() * 72
    return [_window(box, height, name) for box in boxes]


def _add(boxes: list[Bbox], box: Bbox) -> None:
    """Add a panel; one that lies in another, such as an inset or a second axis, belongs to it."""
    for k, other in enumerate(boxes):
        both = Bbox.intersection(box, other)
        if both is not None and both.width * both.height > 0.5 * min(
            box.width * box.height, other.width * other.height
        ):
            boxes[k] = Bbox.union([box, other])
            return
    boxes.append(box)


def _window(box: Bbox, height: float, name: str) -> Markup:
    x, y = box.x0 - 2, height - box.y1 - 2
    width, tall = box.width + 4, box.height + 4
    return Markup(
        f'<svg class="picture" aria-hidden="true" viewBox="{x:.1f} {y:.1f} {width:.1f} {tall:.1f}" '
        f'style="max-width:{2 * width:.0f}px"><use href="#{name}"/></svg>'
    )
