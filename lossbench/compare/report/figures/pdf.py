"""Pictures as PDF, for papers."""

from pathlib import Path

import matplotlib
from matplotlib.backends.backend_pdf import FigureCanvasPdf

from lossbench.compare.report.figures.drawing import Picture

TRUETYPE = {"pdf.fonttype": 42}
"""The setting of matplotlib that embeds fonts as TrueType, as journals ask for."""


def save_pdf(picture: Picture, folder: Path) -> None:
    """Write a picture that `save` has laid out as PDF; the same numbers give the same bytes, as there is no date.

    Parameters
    ----------
    picture : Picture
        Nothing is written of one whose files are there already.
    folder : Path
        Where `NAME.pdf` is written.

    """
    if picture.figure is not None:
        with matplotlib.rc_context(TRUETYPE):
            FigureCanvasPdf(picture.figure).print_pdf(folder / f"{picture.name}.pdf", metadata={"CreationDate": None})
