"""What the page of a comparison knows: its numbers for the charts and the table that a reader can turn, as JSON."""

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from lossbench.catalogue.facts import facts_of
from lossbench.compare.numbers.analysis import Analysis, MetricSummary, at_another_epoch
from lossbench.compare.report.figures.drawing import mean_and_half_width, over_epochs
from lossbench.compare.report.formatting import Bounded, bounds, decimals, equals, in_short, with_interval, words
from lossbench.compare.report.selection_table import HEADINGS, selections
from lossbench.compare.report.tables import means_of, repeats
from lossbench.tasks.loss_style import style_of

MOST_EPOCHS = 60
"""Longer curves are thinned to so many points."""
MOST_POINTS = 6_000
"""So many points of curves are in a page; of more only those of the main metric."""
_ADDRESSES = (
    (r"arXiv:(\d{4}\.\d{4,5}|[a-z-]+/\d{7})", "https://arxiv.org/abs/"),
    (r"\b(10\.\d{4,}/[^\s;,)]+)", "https://doi.org/"),
)

Numbers = dict[str, Any]


def page_data(analysis: Analysis) -> dict[str, Any]:
    """Return what the script of the page draws from: each loss on each metric at each choice of the epoch.

    What is known at the chosen epoch is that of the analysis. At the others it is the metrics of the table, and
    differences are for new seeds alone.
    """
    task, names = analysis.comparison.task, offered(analysis)
    found = {analysis.options.select: analysis.columns}
    for select in selections(analysis):
        if select not in found:
            other = at_another_epoch(analysis, select, analysis.shown)
            if any(column.intervals for column in other.values()):
                found[select] = other
    kept = shown_once(analysis)
    return {
        "metric": analysis.metric,
        "select": analysis.options.select,
        "selects": {select: HEADINGS[select] for select in found},
        "baseline": analysis.baseline,
        "alpha": analysis.options.alpha,
        "margin": analysis.options.margin,
        "columns": kept,
        "metrics": {name: {"name": words(name), "better": task.direction(name)} for name in names},
        "losses": [_loss(analysis, label) for label in analysis.order],
        "references": _references(analysis, names),
        "numbers": {
            select: {
                name: _numbers(analysis, columns[name], name)
                for name in names
                if name in columns and columns[name].intervals
            }
            for select, columns in found.items()
        },
        "curves": _curves(analysis),
    }


def offered(analysis: Analysis) -> list[str]:
    """Return the metrics that a reader can choose: all but those of single classes and of what nobody trained."""
    task = analysis.comparison.task
    known = [name for name in task.named if name in analysis.columns]
    all_names = dict.fromkeys([*analysis.tabled, *analysis.shown, *known, *analysis.columns])
    return [
        name for name in all_names
        if analysis.columns[name].intervals and not task.is_numbered(name) and not task.is_of_reference(name)
    ]  # fmt: skip


def shown_once(analysis: Analysis) -> list[str]:
    """Return the metrics of the table without those that repeat one before them."""
    repeated = repeats(analysis)
    return [name for name in analysis.tabled if name not in repeated]


def source_of(analysis: Analysis, label: str) -> tuple[str, str, str]:
    """Return the command that tells of a loss, its source, and where that can be read; all "" of a user's own."""
    node = next(iter(analysis.comparison.entries[label].values()))["config"].get("loss") or {}
    facts = facts_of(str(node.get("_target_", "")))
    if facts is None:
        return "", "", ""
    places = ((re.search(pattern, facts.source), address) for pattern, address in _ADDRESSES)
    link = next((address + place[1].rstrip(".") for place, address in places if place), "")
    return f"python -m lossbench.losses {facts.name}", facts.source, link


def _loss(analysis: Analysis, label: str) -> dict[str, Any]:
    style = style_of(label)
    command, source, link = source_of(analysis, label)
    return {
        "name": label, "color": style.color, "dashes": list(style.dashes), "marker": style.marker,
        "command": command, "source": source, "link": link, "group": in_short(analysis.main.letters.get(label, "")),
    }  # fmt: skip


def _references(analysis: Analysis, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of what nobody trained, as the table has them."""
    count = len(analysis.comparison.task.references)
    rows = means_of(analysis, list(names), "").rows[-count:] if count else []
    return [{"name": name, "texts": dict(zip(names, texts, strict=True))} for name, *texts in rows]


def _numbers(analysis: Analysis, column: MetricSummary, metric: str) -> Numbers:
    """Return the numbers of one metric, None where a loss has none.

    Of a mean: itself, lower and upper bound, n, text. Of a difference: itself, lower and upper bound, p, text, n and
    p in words, and the bounds for this test set where the others are for new test data, too.
    """
    digits = decimals(column.intervals.values())
    means: list[Any] = []
    differences: list[Any] = []
    kinds = set()
    for label in analysis.order:
        interval, against = column.intervals.get(label), column.against.get(label)
        means.append(interval and [*_bounded(interval), interval.n, with_interval(interval, digits)])
        if against is None:
            differences.append(None)
            continue
        each = against.difference
        kinds.add(each.kind.replace("%", " %"))
        known = math.isfinite(each.low)
        text = f"{each.mean:+.{digits}f} {bounds(each, digits, '+') if known else each.note}".rstrip()
        runs = f"{each.n} {'pairs' if against.paired else 'runs'}"
        told = equals(against.p_t)
        alone = _bounded(against.this_test_set)[1:] if against.this_test_set else []
        differences.append([*_bounded(each), _short(against.p_t), text, f"n = {runs}", told if known else "", *alone])
    kind = next((interval.kind for interval in column.intervals.values()), "").replace("%", " %")
    return {
        "means": means,
        "differences": differences,
        "kind": kind,
        "kinds": " or ".join(sorted(kinds)),
        "family": analysis.family(metric),
    }


def _bounded(interval: Bounded) -> list[float | None]:
    return [_short(value) for value in (interval.mean, interval.low, interval.high)]


def _short(value: float) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _curves(analysis: Analysis) -> dict[str, Any]:
    """Return mean, lower and upper bound of each loss over the epochs, of the shown metrics that each epoch has."""
    first = next((row for entry in analysis.comparison.all_entries for row in (entry.get("history") or [])[-1:]), {})
    names = [name for name in shown_once(analysis) if f"test/{name}" in first]
    points = len(names) * len(analysis.counted) * min(MOST_EPOCHS, int(first.get("epoch", 0)) + 1)
    found = {name: _curve(analysis, name) for name in (names if points <= MOST_POINTS else names[:1])}
    return {name: curve for name, curve in found.items() if max(map(len, curve["epochs"]), default=0) > 1}


def _curve(analysis: Analysis, metric: str) -> Numbers:
    low, high = analysis.comparison.task.bounds(metric)
    found: dict[str, list[Any]] = {"epochs": [], "means": [], "lows": [], "highs": [], "n": []}
    for label in analysis.order:
        entries = analysis.comparison.finished(label)
        epochs, values = over_epochs(entries, f"test/{metric}")
        kept = np.unique(np.linspace(0, len(epochs) - 1, min(len(epochs), MOST_EPOCHS)).astype(int))
        mean, half = mean_and_half_width(values[:, kept], analysis.options.confidence)
        found["epochs"].append([int(epoch) for epoch in epochs[kept]])
        found["n"].append(len(entries))
        bands = {"means": mean, "lows": np.clip(mean - half, low, high), "highs": np.clip(mean + half, low, high)}
        for name, numbers in bands.items():
            found[name].append([_short(float(number)) for number in numbers])
    return found
