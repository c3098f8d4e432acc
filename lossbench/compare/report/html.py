"""The report of a comparison: one HTML file that opens offline, with all pictures in it, and the pictures as files."""

import base64
import hashlib
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import matplotlib
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lossbench import __version__
from lossbench.compare.numbers.analysis import Analysis, span
from lossbench.compare.report.across import DatasetRanking, ranks_table, told
from lossbench.compare.report.embedded import Embedded, Glyphs, embed
from lossbench.compare.report.fairness import cautions, drawn_by_seed, names, protocol
from lossbench.compare.report.figures.critical_difference import critical_difference
from lossbench.compare.report.figures.drawing import OVERLAID, STYLE, Picture
from lossbench.compare.report.figures.front import front_pictures
from lossbench.compare.report.figures.losses import NAME as CURVES
from lossbench.compare.report.figures.losses import loss_curves
from lossbench.compare.report.figures.metrics import forest, learning_curves
from lossbench.compare.report.figures.pdf import save_pdf
from lossbench.compare.report.figures.terms import conflict, gradient_norms, weights
from lossbench.compare.report.formatting import missing_lines, words
from lossbench.compare.report.metric_groups import group_tables
from lossbench.compare.report.page_data import page_data, source_of
from lossbench.compare.report.provenance import cells_table, commands, cost_table, cost_told, versions_table
from lossbench.compare.report.rank_table import seed_ranks_table
from lossbench.compare.report.script import as_script
from lossbench.compare.report.searched import told_of_search
from lossbench.compare.report.selection_table import selections_table
from lossbench.compare.report.several import tables_of_fronts, tables_of_tasks, told_of_tasks
from lossbench.compare.report.tables import Table, differences_table, means_table, notes, without_repeats
from lossbench.compare.report.verdict import verdict
from lossbench.records import files
from lossbench.records.schema import Record
from lossbench.words import counted


@dataclass(frozen=True)
class Figure:
    """A picture that lies in the page itself, and as files beside it."""

    title: str
    caption: str
    name: str
    drawn: Embedded


@dataclass(frozen=True)
class Block:
    """A piece of a section; a table may be folded away under a title of its own.

    The script of the page draws in place of "main", the table of losses, and of a "chart", which has its name as title.
    Code with a title is folded away under it.
    """

    kind: Literal["text", "code", "table", "main", "folded", "figure", "chart"]
    content: str | Table | Figure
    title: str = ""

    def __bool__(self) -> bool:
        """Whether there is something to show."""
        return bool(self.content.rows if isinstance(self.content, Table) else self.content)


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading: before what a reader can turn, part of that, folded away, or at the end."""

    title: str
    blocks: list[Block]
    place: Literal["first", "turned", "details", "last"] = "details"


log = logging.getLogger(__name__)
_HERE = Path(__file__).parent
TEMPLATE = "page.html.j2"
SCRIPTS = ("vendor/d3.min.js", "vendor/plot.umd.min.js", "page.js")
MOST_DRAWN = 60
"""Of more losses the best are drawn, and the baseline: among hundreds of panels nobody finds one."""
CHARTS = {"paired_differences": "differences", "learning_curves": "curves"}
"""The pictures in whose place the script of the page draws a chart, and its name."""


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
    for ending in ("png", "svg", "pdf"):
        for old in folder.glob(f"*.{ending}"):
            if old.stem != CURVES:  # which are drawn again only where they would be others
                old.unlink()
    path = folder / "report.html"
    with matplotlib.rc_context(STYLE):
        glyphs = Glyphs()
        files.write_text(
            path,
            _page(analysis, _sections(analysis, _Drawing(folder, glyphs, at, analysis.options.pdf), across), glyphs),
        )
    return path


@dataclass(frozen=True)
class _Drawing:
    """Where pictures go, what takes their letters, and what is told of each."""

    folder: Path
    glyphs: Glyphs
    at: Callable[[str], None]
    pdf: bool

    def block(self, picture: Picture) -> Block:
        self.at(f"{picture.name}.png")
        chart = CHARTS.get(picture.name, "")
        drawn = embed(picture, self.folder, self.glyphs, panels=not chart)
        if self.pdf:
            save_pdf(picture, self.folder)
        figure = Figure(picture.title, picture.caption, picture.name, drawn)
        return Block("chart" if chart else "figure", figure, chart)


def _sections(analysis: Analysis, drawing: _Drawing, across: list[DatasetRanking]) -> list[Section]:
    """Return what costs are, the differences, the table and the curves, in this order, and then all details."""
    shown, left_out = _drawn(analysis)
    pictures, problems = _draw(shown, drawing.at)
    pictures = [replace(each, caption=f"{each.caption}{left_out}") for each in pictures]
    drawing.at("loss curves")
    of_losses, problem = loss_curves(analysis, drawing.folder)
    pictures += [of_losses] if of_losses is not None else []
    problems += [problem] if problem else []
    drawn = {picture.name: Section(picture.title, [drawing.block(picture)]) for picture in pictures}
    differences, curves = ([replace(drawn.pop(name), place="turned")] if name in drawn else [] for name in CHARTS)
    sections = [
        Section("What it costs", _costs(analysis), "first"),
        *differences,
        Section("Numbers", _numbers(analysis), "turned"),
        *curves,
        Section("Several tasks", _several_tasks(analysis)),
        Section("The search", _search(analysis, drawing.folder.parent.parent)),
        Section("Fronts", [Block("table", table) for table in tables_of_fronts(analysis)]),
        *drawn.values(),
        Section("Not drawn", [Block("text", problem) for problem in problems]),
        *(Section(f"Over several {each.noun}s", _over_data(each, drawing)) for each in across),
        Section("The choice of the epoch", [Block("table", selections_table(analysis))]),
        Section("Every metric", [Block("folded", table, title) for title, table in group_tables(analysis).items()]),
        Section("Differences on the other metrics", _differences(analysis)),
        Section("Repeat it", _repeat(analysis), "last"),
    ]
    return [section for section in sections if any(section.blocks)]


def _drawn(analysis: Analysis) -> tuple[Analysis, str]:
    """Return the numbers of the losses that are drawn, and a sentence for the captions where those are not all."""
    count = len(analysis.counted)
    if count <= MOST_DRAWN:
        return analysis, ""
    kept = {*analysis.counted[:MOST_DRAWN], analysis.baseline}
    beside = "" if analysis.baseline in analysis.counted[:MOST_DRAWN] else f" and of {analysis.baseline}"
    told = f" The picture is of the best {MOST_DRAWN} of {count} losses{beside}; the tables have all."
    return replace(analysis, order=[label for label in analysis.order if label in kept]), told


def _draw(analysis: Analysis, at: Callable[[str], None]) -> tuple[list[Picture], list[str]]:
    """Draw what the data have; a picture that can't be drawn is told, and doesn't cost the report."""
    pictures, problems = [], []
    common = (forest, learning_curves, front_pictures, weights, conflict, gradient_norms)
    for draw in (*common, *analysis.comparison.task.pictures):
        at(draw.__name__.replace("_", " "))
        try:
            pictures += draw(analysis)
        except Exception as error:
            log.exception("%s could not be drawn", draw.__name__)
            problems.append(f"{draw.__name__.replace('_', ' ')}: {type(error).__name__}: {error}")
    return pictures, problems


def _page(analysis: Analysis, sections: list[Section], glyphs: Glyphs) -> str:
    comparison = analysis.comparison
    losses, seeds = len(comparison.entries), comparison.seeds
    entry = comparison.any_entry
    setting = f"{comparison.task.name}; {_trained(entry)}, {_epochs(entry)}; seeds {span(seeds)}"
    scripts = [Markup((_HERE / name).read_text(encoding="utf-8")) for name in SCRIPTS]
    pages = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined,
        keep_trailing_newline=True,
    )  # fmt: skip
    pages.filters["in_lines"] = in_lines
    return pages.get_template(TEMPLATE).render(
        title=f"{comparison.title}: {counted(losses, 'loss', 'losses')} x {counted(len(seeds), 'seed')}",
        setting=f"{setting}; test metrics at the {analysis.epoch}",
        verdict=verdict(analysis).replace(" %", "\N{NO-BREAK SPACE}%"),
        warning=_warning(analysis),
        numbered=list(enumerate(sections)),
        open=losses <= OVERLAID,
        pdf=analysis.options.pdf,
        baseline=analysis.baseline,
        links={label: source_of(analysis, label)[2] for label in analysis.order},
        glyphs=glyphs.drawn,
        style=Markup((_HERE / "page.css").read_text(encoding="utf-8")),
        scripts=scripts,
        policy=_policy(scripts),
        data=as_script(page_data(analysis)),
        footer=f"lossbench {__version__}; problem {comparison.problem[:8]}",
    )


def in_lines(name: str) -> Markup:
    """Let a long name break behind its underscores, and nowhere else as long as its parts fit.

    Examples
    --------
    >>> in_lines("a_<b>")
    Markup('a_<wbr>&lt;b&gt;')

    """
    return Markup("<wbr>").join(re.split(r"(?<=[_+,])", name))


def _policy(scripts: Sequence[str]) -> str:
    """Let a browser run these scripts alone, and load nothing: not even markup that got into the page would do more."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{each}'" for each in hashes)
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}; base-uri 'none'"


def _costs(analysis: Analysis) -> list[Block]:
    told = cost_told(analysis)
    table = Block("folded", cost_table(analysis), "seconds, samples per second and memory of each loss")
    return [Block("text", told), table] if told else []


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
    return [
        Block("main", without_repeats(means_table(analysis), analysis)),
        Block(
            "folded", differences_table(analysis, analysis.metric), f"differences to {analysis.baseline}, with tests"
        ),
        Block("folded", seed_ranks_table(analysis), "mean rank of each loss over the seeds"),
        *(Block("text", text) for text in told if text),
    ]


def _several_tasks(analysis: Analysis) -> list[Block]:
    told = " ".join(told_of_tasks(analysis))
    return [*([Block("text", told)] if told else []), *(Block("table", table) for table in tables_of_tasks(analysis))]


def _search(analysis: Analysis, output_dir: Path) -> list[Block]:
    told = told_of_search(analysis, output_dir)
    if told is None:
        return []
    return [
        Block("text", told.text), Block("table", told.worths),
        Block("code", told.yaml, "the loss that was found: formula, parameters, YAML"),
        Block("folded", told.relatives, "its nearest relatives"),
        Block("folded", told.candidates, counted(len(told.candidates.rows), "candidate")),
    ]  # fmt: skip


def _differences(analysis: Analysis) -> list[Block]:
    """Fold the differences on the other shown metrics away; table.csv has those of all metrics."""
    others = [name for name in analysis.shown if name != analysis.metric and analysis.columns[name].against]
    folded = [Block("folded", differences_table(analysis, name, explained=False), words(name)) for name in others]
    more = (
        f"Columns as in “differences to {analysis.baseline}, with tests”. All is adjusted within each metric, not over "
        "the metrics. table.csv has every recorded metric."
    )
    return [*folded, Block("text", more)] if folded else []


def _over_data(across: DatasetRanking, drawing: _Drawing) -> list[Block]:
    return [
        Block("text", told(across)),
        drawing.block(critical_difference(across)),
        Block("table", ranks_table(across)),
    ]


def _repeat(analysis: Analysis) -> list[Block]:
    cells = cells_table(analysis)
    return [
        Block("code", "\n".join(commands(analysis.comparison))),
        Block("text", "Runs that are finished are reused; rerun=true trains them again."),
        Block("folded", cells, f"{counted(len(cells.rows), 'cell')}: status, key, MLflow run, folder"),
        Block("folded", versions_table(analysis.comparison), "versions"),
    ]
