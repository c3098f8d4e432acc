"""The report of a comparison: one HTML file that opens offline, with all pictures in it, and the pictures as files."""

import base64
import importlib
import importlib.util
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import matplotlib
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lossbench import __version__
from lossbench.compare.numbers.analysis import Analysis, span
from lossbench.compare.report.across import DatasetRanking, ranks_table, told
from lossbench.compare.report.fairness import cautions, drawn_by_seed, names, protocol
from lossbench.compare.report.figures.critical_difference import critical_difference
from lossbench.compare.report.figures.drawing import STYLE, Picture, save
from lossbench.compare.report.figures.front import front_pictures
from lossbench.compare.report.figures.losses import NAME as CURVES
from lossbench.compare.report.figures.losses import loss_curves
from lossbench.compare.report.figures.metrics import forest, learning_curves
from lossbench.compare.report.figures.terms import conflict, gradient_norms, weights
from lossbench.compare.report.formatting import counted, missing_lines, words
from lossbench.compare.report.metric_groups import group_tables
from lossbench.compare.report.provenance import cells_table, commands, cost_table, versions_table
from lossbench.compare.report.selection_table import selections_table
from lossbench.compare.report.several import tables_of_fronts, tables_of_tasks, told_of_tasks
from lossbench.compare.report.tables import Table, differences_table, notes, tables
from lossbench.compare.report.verdict import verdict
from lossbench.records import files
from lossbench.records.schema import Record
from lossbench.tasks.task import Task


@dataclass(frozen=True)
class Figure:
    """A picture that lies in the page itself, and as files beside it."""

    title: str
    caption: str
    name: str
    png: str
    alt: str


@dataclass(frozen=True)
class Block:
    """A piece of a section; a table may be folded away under a title of its own."""

    kind: Literal["text", "code", "table", "folded", "figure"]
    content: str | Table | Figure
    title: str = ""

    def __bool__(self) -> bool:
        """Whether there is something to show."""
        return not isinstance(self.content, Table) or bool(self.content.rows)


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading."""

    title: str
    blocks: list[Block]


_FIGURES = "lossbench.compare.report.figures"
log = logging.getLogger(__name__)
TEMPLATE = "page.html.j2"


def write_report(
    analysis: Analysis, folder: Path, across: list[DatasetRanking], at: Callable[[str], None] = lambda what: None
) -> Path:
    """Draw all pictures into a folder and write `report.html`; return its path.

    Parameters
    ----------
    analysis : Analysis
        The numbers.
    folder : Path
        Where to write; pictures of an earlier report are removed.
    across : list of DatasetRanking
        Rankings over several data sets that this one is part of.
    at : callable, optional
        Is told what is drawn next.

    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("*.png"), *folder.glob("*.svg")]:
        if old.stem != CURVES:  # which are drawn again only where they would be others
            old.unlink()
    path = folder / "report.html"
    with matplotlib.rc_context(STYLE):
        files.write_text(path, _page(analysis, _sections(analysis, folder, across, at)))
    return path


def _sections(
    analysis: Analysis, folder: Path, across: list[DatasetRanking], at: Callable[[str], None]
) -> list[Section]:
    pictures, problems = _draw(analysis, at)
    at("loss curves")
    of_losses, problem = loss_curves(analysis, folder)
    pictures += [of_losses] if of_losses is not None else []
    problems += [problem] if problem else []
    sections = [
        Section("Numbers", _numbers(analysis)),
        Section("Several tasks", _several_tasks(analysis)),
        Section("Fronts", [Block("table", table) for table in tables_of_fronts(analysis)]),
        *(Section(picture.title, [_figure(picture, folder, at)]) for picture in pictures),
        Section("Not drawn", [Block("text", problem) for problem in problems]),
        *(Section(f"Over several {each.noun}s", _over_data(each, folder)) for each in across),
        Section("The choice of the epoch", [Block("table", selections_table(analysis))]),
        Section("Every metric", [Block("folded", table, title) for title, table in group_tables(analysis).items()]),
        Section("Differences on the other metrics", _differences(analysis)),
        Section("Cost", [Block("table", cost_table(analysis))]),
        Section("Repeat it", _repeat(analysis)),
    ]
    return [section for section in sections if any(section.blocks)]


def _draw(analysis: Analysis, at: Callable[[str], None]) -> tuple[list[Picture], list[str]]:
    """Draw what the data have; a picture that can't be drawn is told, and doesn't cost the report."""
    pictures, problems = [], []
    common = (forest, learning_curves, front_pictures, weights, conflict, gradient_norms)
    for draw in (*common, *_pictures_of(analysis.comparison.task)):
        at(draw.__name__.replace("_", " "))
        try:
            pictures += draw(analysis)
        except Exception as error:
            log.exception("%s could not be drawn", draw.__name__)
            problems.append(f"{draw.__name__.replace('_', ' ')}: {type(error).__name__}: {error}")
    return pictures, problems


def _pictures_of(task: Task) -> Sequence[Callable[[Analysis], list[Picture]]]:
    """Return what draws a task: `PICTURES` of the module in `figures` called as its folder, or of its `report`."""
    package, _, folder = task.package.rpartition(".")
    name = f"{_FIGURES}.{folder}" if package == "lossbench.tasks" else f"{task.package}.report"
    if not task.package or importlib.util.find_spec(name) is None:
        return ()
    pictures: Sequence[Callable[[Analysis], list[Picture]]] = importlib.import_module(name).PICTURES
    return pictures


def _page(analysis: Analysis, sections: list[Section]) -> str:
    comparison = analysis.comparison
    losses, seeds = len(comparison.entries), comparison.seeds
    entry = comparison.any_entry
    setting = f"{comparison.task.name}; {_trained(entry)}, {_epochs(entry)}; seeds {span(seeds)}"
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        keep_trailing_newline=True,
    )  # fmt: skip
    return pages.get_template(TEMPLATE).render(
        title=f"{comparison.title}: {counted(losses, 'loss', 'losses')} x {counted(len(seeds), 'seed')}",
        setting=f"{setting}; test metrics at the {analysis.epoch}",
        verdict=verdict(analysis),
        warning=_warning(analysis),
        sections=sections,
        footer=f"lossbench {__version__}; problem {comparison.problem[:8]}",
    )


def _warning(analysis: Analysis) -> str:
    missing = missing_lines(analysis)
    parts = [f"Not in the numbers: {'; '.join(missing)}."] if missing else []
    if analysis.options.select == "oracle":
        parts.insert(0, "Epochs were picked on the test set: an upper bound, not a result.")
    return " ".join([*parts, *cautions(analysis.comparison)])


def _trained(entry: Record) -> str:
    choices = entry["choices"]
    network = choices.get("learner/network")
    return f"network {network}" if network else f"model {choices.get('model', '?')}"


def _epochs(entry: Record) -> str:
    epochs = entry["config"].get("trainer", {}).get("max_epochs")
    return counted(epochs, "epoch") if isinstance(epochs, int) else f"{epochs} epochs"


def _numbers(analysis: Analysis) -> list[Block]:
    told = [
        *names(analysis.comparison), *notes(analysis), protocol(analysis.comparison), drawn_by_seed(analysis.comparison)
    ]  # fmt: skip
    return [*(Block("table", table) for table in tables(analysis)), *(Block("text", text) for text in told if text)]


def _several_tasks(analysis: Analysis) -> list[Block]:
    told = " ".join(told_of_tasks(analysis))
    return [*([Block("text", told)] if told else []), *(Block("table", table) for table in tables_of_tasks(analysis))]


def _differences(analysis: Analysis) -> list[Block]:
    """Fold the differences on the other shown metrics away; table.csv has those of all metrics."""
    others = [name for name in analysis.shown if name != analysis.metric and analysis.columns[name].against]
    folded = [Block("folded", differences_table(analysis, name), words(name)) for name in others]
    more = "All is adjusted within each metric, not over the metrics. table.csv has every recorded metric."
    return [*folded, Block("text", more)] if folded else []


def _over_data(across: DatasetRanking, folder: Path) -> list[Block]:
    picture = _figure(critical_difference(across), folder)
    return [Block("text", told(across)), picture, Block("table", ranks_table(across))]


def _repeat(analysis: Analysis) -> list[Block]:
    cells = cells_table(analysis)
    return [
        Block("code", "\n".join(commands(analysis.comparison))),
        Block("text", "Runs that are finished are reused; rerun=true trains them again."),
        Block("folded", cells, f"{counted(len(cells.rows), 'cell')}: status, key, MLflow run, folder"),
        Block("folded", versions_table(analysis.comparison), "versions"),
    ]


def _figure(picture: Picture, folder: Path, at: Callable[[str], None] = lambda what: None) -> Block:
    at(f"{picture.name}.png")
    save(picture, folder)
    png = base64.b64encode((folder / f"{picture.name}.png").read_bytes()).decode()
    return Block("figure", Figure(picture.title, picture.caption, picture.name, png, picture.alt or picture.title))
