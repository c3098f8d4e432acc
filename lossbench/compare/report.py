"""The report of a comparison: one HTML file that opens offline, with all pictures in it, and the pictures as files."""

import base64
import logging
from collections.abc import Callable
from html import escape
from pathlib import Path
from string import Template

import matplotlib

from lossbench import __version__, record
from lossbench.compare.across import Across, critical_difference, ranks_table, told
from lossbench.compare.analysis import Analysis, span
from lossbench.compare.drawing import STYLE, Picture, save
from lossbench.compare.fairness import cautions, protocol
from lossbench.compare.metric_groups import group_tables
from lossbench.compare.page import PAGE
from lossbench.compare.pictures_classes import class_pictures
from lossbench.compare.pictures_curves import curves
from lossbench.compare.pictures_distributional import calibration_curves, interval_bands
from lossbench.compare.pictures_generation import generated
from lossbench.compare.pictures_labels import precision_by_label
from lossbench.compare.pictures_losses import loss_curves
from lossbench.compare.pictures_metrics import accuracy_by_shots, forest, learning_curves, memorised, recall_by_class
from lossbench.compare.pictures_points import critic_surfaces, generated_points
from lossbench.compare.pictures_regression import fitted_function, residual_quantiles
from lossbench.compare.pictures_sequence import blank_share, posteriors
from lossbench.compare.provenance import cells_table, commands, cost_table, versions_table
from lossbench.compare.selection_table import selections_table
from lossbench.compare.table import Table, differences_table, notes, tables
from lossbench.compare.verdict import verdict
from lossbench.compare.wording import counted, missing_lines, words

Section = tuple[str, str]
"""Heading and HTML."""

_PICTURES: list[Callable[[Analysis], list[Picture]]] = [
    forest, learning_curves, recall_by_class, accuracy_by_shots, memorised, residual_quantiles, fitted_function,
    interval_bands, calibration_curves, class_pictures, curves, precision_by_label, posteriors, blank_share, generated,
    generated_points, critic_surfaces,
]  # fmt: skip
"""In the order of the report; each returns no picture where it has nothing to show."""
log = logging.getLogger(__name__)


def write_report(analysis: Analysis, folder: Path, across: list[Across]) -> Path:
    """Draw all pictures into a folder and write `report.html`; return its path.

    Parameters
    ----------
    analysis : Analysis
        The numbers.
    folder : Path
        Where to write; pictures of an earlier report are removed.
    across : list of Across
        Rankings over several data sets that this one is part of.

    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("*.png"), *folder.glob("*.svg")]:
        old.unlink()
    path = folder / "report.html"
    with matplotlib.rc_context(STYLE):
        record.write_text(path, _page(analysis, _sections(analysis, folder, across)))
    return path


def _sections(analysis: Analysis, folder: Path, across: list[Across]) -> list[Section]:
    pictures, problems = _draw(analysis)
    of_losses, problem = loss_curves(analysis, folder)
    pictures += [of_losses] if of_losses is not None else []
    problems += [problem] if problem else []
    sections = [("Numbers", _numbers(analysis))]
    sections += [(picture.title, _figure(picture, folder)) for picture in pictures]
    sections += [("Not drawn", "".join(map(_paragraph, problems)))] if problems else []
    sections += [("Over several data sets", _over_data(each, folder)) for each in across]
    sections += [
        ("The choice of the epoch", _table(selections_table(analysis))),
        ("Every metric", _every_metric(analysis)),
        ("Differences on the other metrics", _differences(analysis)),
        ("Cost", _table(cost_table(analysis))),
        ("Repeat it", _repeat(analysis)),
    ]
    return [(title, body) for title, body in sections if body]


def _draw(analysis: Analysis) -> tuple[list[Picture], list[str]]:
    """Draw what the data have; a picture that can't be drawn is told, and doesn't cost the report."""
    pictures, problems = [], []
    for draw in _PICTURES:
        try:
            pictures += draw(analysis)
        except Exception as error:
            log.exception("%s could not be drawn", draw.__name__)
            problems.append(f"{draw.__name__.replace('_', ' ')}: {type(error).__name__}: {error}")
    return pictures, problems


def _page(analysis: Analysis, sections: list[Section]) -> str:
    comparison = analysis.comparison
    losses, seeds = len(comparison.entries), comparison.seeds
    entry = comparison.any_entry
    setting = f"{comparison.task}; {_trained(entry)}, {_epochs(entry)}; seeds {span(seeds)}"
    links = "".join(f'<a href="#s{k}">{escape(title)}</a>' for k, (title, _) in enumerate(sections))
    body = "".join(
        f'<section id="s{k}"><h2>{escape(title)}</h2>{html}</section>' for k, (title, html) in enumerate(sections)
    )
    missing = missing_lines(analysis)
    warning = f"Not in the numbers: {'; '.join(missing)}." if missing else ""
    warning = " ".join([warning, *cautions(comparison)])
    if analysis.options.select == "oracle":
        warning = f"Epochs were picked on the test set: an upper bound, not a result. {warning}"
    return Template(PAGE).substitute(
        title=escape(f"{comparison.title}: {counted(losses, 'loss', 'losses')} x {counted(len(seeds), 'seed')}"),
        setting=escape(f"{setting}; test metrics at the {analysis.epoch}"),
        verdict=escape(verdict(analysis)),
        warning=f'<p class="warning">{escape(warning.strip())}</p>' if warning.strip() else "",
        links=links,
        sections=body,
        footer=escape(f"lossbench {__version__}; problem {comparison.problem[:8]}"),
    )


def _trained(entry: record.Record) -> str:
    choices = entry["choices"]
    network = choices.get("learner/network")
    return f"network {network}" if network else f"model {choices.get('model', '?')}"


def _epochs(entry: record.Record) -> str:
    epochs = entry["config"].get("trainer", {}).get("max_epochs")
    return counted(epochs, "epoch") if isinstance(epochs, int) else f"{epochs} epochs"


def _numbers(analysis: Analysis) -> str:
    told = [*notes(analysis), protocol(analysis.comparison)]
    return "".join(map(_table, tables(analysis))) + "".join(map(_paragraph, told))


def _every_metric(analysis: Analysis) -> str:
    return "".join(
        f"<details><summary>{escape(title)}</summary>{_table(table)}</details>"
        for title, table in group_tables(analysis).items()
    )


def _differences(analysis: Analysis) -> str:
    """Fold the differences on the other shown metrics away; table.csv has those of all metrics."""
    others = [name for name in analysis.shown if name != analysis.metric and analysis.columns[name].against]
    folded = [
        f"<details><summary>{escape(words(name))}</summary>{_table(differences_table(analysis, name))}</details>"
        for name in others
    ]
    more = (
        "Holm corrects over the losses within each metric, not over the metrics. table.csv has every recorded metric."
    )
    return "".join(folded) + _paragraph(more) if folded else ""


def _over_data(across: Across, folder: Path) -> str:
    picture = critical_difference(across)
    figure = _figure(picture, folder) if picture is not None else ""
    return _paragraph(told(across)) + figure + _table(ranks_table(across))


def _repeat(analysis: Analysis) -> str:
    lines = commands(analysis.comparison)
    cells, versions = cells_table(analysis), versions_table(analysis.comparison)
    return (
        f"<pre>{escape(chr(10).join(lines))}</pre>"
        + _paragraph("Runs that are finished are reused; rerun=true trains them again.")
        + f"<details><summary>{counted(len(cells.rows), 'cell')}: status, key, MLflow run, folder</summary>"
        + f"{_table(cells)}</details><details><summary>versions</summary>{_table(versions)}</details>"
    )


def _figure(picture: Picture, folder: Path) -> str:
    save(picture, folder)
    data = base64.b64encode((folder / f"{picture.name}.png").read_bytes()).decode()
    return (
        f'<figure><div class="wide"><img alt="{escape(picture.title)}" src="data:image/png;base64,{data}"></div>'
        f"<figcaption>{escape(picture.caption)} Files: {picture.name}.png, .svg</figcaption></figure>"
    )


def _table(table: Table) -> str:
    if not table.rows:
        return ""
    heading = "".join(f"<th>{escape(name)}</th>" for name in table.heading)
    rows = "".join(
        "<tr>" + "".join(_cell(text, (i, k) in table.bold, k == 0) for k, text in enumerate(row)) + "</tr>"
        for i, row in enumerate(table.rows)
    )
    return (
        f'<div class="wide"><table><thead><tr>{heading}</tr></thead><tbody>{rows}</tbody></table></div>'
        f'<p class="caption">{escape(table.caption)}</p>'
    )


def _cell(text: str, bold: bool, first: bool) -> str:
    shown = f"<b>{escape(text)}</b>" if bold else escape(text)
    return f'<th scope="row">{shown}</th>' if first else f"<td>{shown}</td>"


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"
