"""What the values of cases come to: means with intervals, differences of systems, as tables and as data."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rich.table import Column, Table
from rich.text import Text

from lossbench.compare.numbers.statistics import mean_interval, paired_difference
from lossbench.errors import ConfigError
from lossbench.rag.cases import Case
from lossbench.rag.evaluate import FAILED, LACKING, UNDEFINED, UNPARSABLE, Cell, Measure
from lossbench.rag.ppi import prediction_powered_mean

Rows = Sequence[Mapping[str, Cell]]
WORDS = (UNPARSABLE, FAILED, UNDEFINED, LACKING)


@dataclass(frozen=True)
class Summary:
    """The mean of a metric over cases.

    Parameters
    ----------
    name : str
        Of the metric; "_ppi" at its end is the mean that labels of people have corrected.
    mean, low, high : float
        NaN where there are none.
    n : int
        Cases that it is over; with labels, the labelled ones.
    kind : str
        What the bounds are.
    without : dict of str to int
        Cases without a value, by the word that says why.
    note : str
        What else is to be said.

    """

    name: str
    mean: float
    low: float
    high: float
    n: int
    kind: str
    without: dict[str, int]
    note: str = ""


@dataclass(frozen=True)
class Difference:
    """How a system differs from the first one, over the questions of which both have a value.

    Parameters
    ----------
    name, system, baseline : str
        The metric, and the two systems.
    mean, low, high : float
        Of system - baseline.
    n : int
        Questions.
    kind, note : str
        As in `Summary`.

    """

    name: str
    system: str
    baseline: str
    mean: float
    low: float
    high: float
    n: int
    kind: str
    note: str = ""


def summaries(
    cases: Sequence[Case], rows: Rows, measures: Sequence[Measure], confidence: float = 0.95,
    ppi: Literal["plain", "tuned"] = "plain",
) -> list[Summary]:  # fmt: skip
    """Summarise each metric; those of ARES twice where people have labelled two cases or more.

    Formula: mean +- t_{n-1} s / sqrt(n) over the cases with a value, cut to the range of the metric; with labels,
    `lossbench.rag.ppi`. Cases without a value count nowhere.
    """
    found = []
    for measure in measures:
        cells = [row[measure.name] for row in rows]
        found.append(_summary(measure, cells, confidence))
        if measure.metric.label and (corrected := _corrected(measure, cases, cells, confidence, ppi)) is not None:
            found.append(corrected)
    return found


def differences(
    systems: Mapping[str, tuple[Sequence[Case], Rows]], measures: Sequence[Measure], confidence: float = 0.95
) -> list[Difference]:
    """Compare each system with the first, paired by `id`, or by question where there is none.

    Formula: mean +- t_{n-1} s / sqrt(n) of the differences; each interval holds by itself.

    Raises
    ------
    ConfigError
        If two cases of a system have the same id or question.

    """
    first, *others = systems
    by_name = {name: _by_question(*systems[name]) for name in systems} if others else {}
    found = []
    for measure in measures if others else ():
        for other in others:
            pairs = [
                (by_name[other][question][measure.name], row[measure.name])
                for question, row in by_name[first].items()
                if question in by_name[other]
            ]
            both = [(one, two) for one, two in pairs if isinstance(one, float) and isinstance(two, float)]
            if not both:
                continue
            ours, theirs = zip(*both, strict=True)
            told = paired_difference(ours, theirs, higher_is_better=True, confidence=confidence)
            found.append(
                Difference(measure.name, other, first, told.mean, told.low, told.high, told.n, told.kind, told.note)
            )
    return found


def table_of(title: str, found: Sequence[Summary], lacking: Mapping[str, str]) -> Table:
    """Return the table of a system: what was computed, then what was not and what it needs."""
    table = Table(
        _whole("metric"),
        "mean",
        _whole("interval"),
        "n",
        "remarks",
        title=Text(title),
        title_justify="left",
    )
    for each in found:
        remarks = [f"{count} {word}" for word, count in each.without.items()]
        remarks += [each.kind] if each.name.endswith("_ppi") else []
        table.add_row(each.name, _number(each.mean), _bounds(each), str(each.n), Text(", ".join(remarks)))
    for name, needs in lacking.items():
        table.add_row(name, "-", "-", "0", Text(needs))
    return table


def table_of_differences(found: Sequence[Difference]) -> Table:
    """Return the table of differences."""
    table = Table(_whole("metric"), "difference", "mean", _whole("interval"), "n")
    for each in found:
        name = Text(f"{each.system} - {each.baseline}")
        table.add_row(each.name, name, _number(each.mean, "+"), _bounds(each, "+"), str(each.n))
    return table


def csv_of(cases: Sequence[Case], rows: Rows, measures: Sequence[Measure]) -> str:
    """Write the values of each case; where there is none, the word that says why."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["place", "id", "question", *(measure.name for measure in measures)])
    for case, row in zip(cases, rows, strict=True):
        writer.writerow([case.place, case.id or "", case.question, *(row[measure.name] for measure in measures)])
    return text.getvalue()


def as_data(found: Summary | Difference) -> dict[str, Any]:
    """Return what JSON can hold: null in place of NaN."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in asdict(found).items()
    }


def _summary(measure: Measure, cells: Sequence[Cell], confidence: float) -> Summary:
    values = [cell for cell in cells if isinstance(cell, float)]
    without = {word: count for word in WORDS if (count := sum(cell == word for cell in cells))}
    if not values:
        return Summary(measure.name, math.nan, math.nan, math.nan, 0, "", without)
    told = mean_interval(values, confidence, bounds=measure.metric.bounds)
    return Summary(measure.name, told.mean, told.low, told.high, told.n, told.kind, without, told.note)


def _corrected(
    measure: Measure, cases: Sequence[Case], cells: Sequence[Cell], confidence: float, form: Literal["plain", "tuned"]
) -> Summary | None:
    judged = [
        (getattr(case, measure.metric.label), cell)
        for case, cell in zip(cases, cells, strict=True)
        if isinstance(cell, float)
    ]
    labelled = [(float(label), cell) for label, cell in judged if label is not None]
    if len(labelled) < 2:
        return None
    labels, verdicts = zip(*labelled, strict=True)
    others = [cell for label, cell in judged if label is None]
    told = prediction_powered_mean(labels, verdicts, others, confidence=confidence, form=form)
    kind = f"{told.kind}, {told.n} labelled and {told.n_judged} judged"
    return Summary(f"{measure.name}_ppi", told.mean, told.low, told.high, told.n, kind, {}, told.note)


def _by_question(cases: Sequence[Case], rows: Rows) -> dict[str, Mapping[str, Cell]]:
    found: dict[str, Mapping[str, Cell]] = {}
    for case, row in zip(cases, rows, strict=True):
        name = case.question if case.id is None else case.id
        if name in found:
            raise ConfigError(
                f"{case.place}: {'question' if case.id is None else 'id'}={name[:60]!r} comes twice, so that systems "
                "can't be paired by it. Give each row an id of its own, the same in all files."
            )
        found[name] = row
    return found


def _whole(head: str) -> Column:
    return Column(head, no_wrap=True)


def _number(value: float, sign: str = "") -> str:
    return f"{value:{sign}.3f}" if math.isfinite(value) else "-"


def _bounds(found: Summary | Difference, sign: str = "") -> str:
    if math.isfinite(found.low):
        return f"[{found.low:{sign}.3f}, {found.high:{sign}.3f}]"
    return found.note.partition(",")[0] or "-"
