"""The tables of a comparison: each loss's mean and interval, and its difference to the baseline."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import isclose, isfinite, isnan

from lossbench.compare.numbers.analysis import Analysis, Values, seeds_for, span
from lossbench.compare.numbers.pairs import PairComparison
from lossbench.compare.numbers.statistics import BCA_FROM, PairedDifference
from lossbench.compare.report.formatting import (
    better_is,
    bounds,
    decimals,
    in_short,
    missing_lines,
    p_value,
    seeds_range,
    with_interval,
    words,
)
from lossbench.compare.report.verdict import power
from lossbench.words import counted


@dataclass(frozen=True)
class Table:
    """A table as text.

    Parameters
    ----------
    caption : str
        What the numbers are, and over what.
    heading : list of str
        One for each column; the first column names the loss.
    rows : list of list of str
        The cells.
    bold : set of (int, int)
        The cells to set off, by row and column: the best mean of each metric.
    name : str
        A word that tells it from the other tables of a comparison.
    title : str
        What it shows, in one line.
    groups : sequence of str
        The group of the metric of each column, where its columns are metrics: a wide table is parted between groups.

    """

    caption: str
    heading: list[str]
    rows: list[list[str]]
    bold: set[tuple[int, int]]
    name: str = ""
    title: str = ""
    groups: Sequence[str] = ()


def tables(analysis: Analysis) -> list[Table]:
    """Return the table of means and, where there is something to compare, that of differences to the baseline."""
    differences = differences_table(analysis, analysis.metric)
    return [means_table(analysis), *([differences] if differences.rows else [])]


def means_table(analysis: Analysis) -> Table:
    """Make the table of the mean of each loss on each shown metric, with letters if all pairs were compared."""
    means = means_of(analysis, analysis.tabled, caption(analysis))
    letters = analysis.main.letters
    group = ["group"] if letters else []
    rows = [
        [
            row[0],
            _runs(analysis, row[0]) if row[0] in analysis.order else "–",
            *([in_short(letters[row[0]]) if row[0] in letters else "–"] if group else []),
            *row[1:],
        ]
        for row in means.rows
    ]
    bold = {(row, column + 1 + len(group)) for row, column in means.bold}
    seeds = counted(len(analysis.comparison.seeds), "seed")
    return Table(
        means.caption, ["loss", "n", *group, *means.heading[1:]], rows, bold, "means",
        f"{analysis.comparison.title}: mean of each loss over {seeds}", ("", "", *group, *means.groups[1:]),
    )  # fmt: skip


def groups_of(analysis: Analysis, names: Iterable[str]) -> list[str]:
    """Return the group of each metric, "" of one that is in none."""
    named = analysis.comparison.task.named
    known = [named.get(name) or named.get(f"{name.partition('/')[0]}/") for name in names]
    return [metric.group if metric else "" for metric in known]


def repeats(analysis: Analysis) -> dict[str, str]:
    """Return the metrics of the tables that have the values of one before them in every run, and which that is."""
    found: dict[str, str] = {}
    values = {name: [analysis.values(label, name) for label in analysis.comparison.entries] for name in analysis.tabled}
    for position, name in enumerate(analysis.tabled):
        earlier = [other for other in analysis.tabled[:position] if other not in found]
        same = next((other for other in earlier if _alike(values[name], values[other])), None)
        if same is not None and any(values[name]):
            found[name] = same
    return found


def _alike(ones: Sequence[Values], others: Sequence[Values]) -> bool:
    return all(
        one.keys() == other.keys() and all(isclose(one[seed], other[seed], abs_tol=1e-12) for seed in one)
        for one, other in zip(ones, others, strict=True)
    )


def without_repeats(table: Table, analysis: Analysis) -> Table:
    """Drop the columns of the table of means that repeat one before them, and say so in its caption."""
    found = repeats(analysis)
    first = len(table.heading) - len(analysis.tabled)
    kept = [k for k in range(len(table.heading)) if k < first or analysis.tabled[k - first] not in found]
    if not found:
        return table
    told = "; ".join(f"{words(name)} is {words(other)} in every run" for name, other in found.items())
    bold = {(row, kept.index(column)) for row, column in table.bold if column in kept}
    rows = [[row[k] for k in kept] for row in table.rows]
    return replace(
        table, caption=f"{table.caption} Left out: {told}.", heading=[table.heading[k] for k in kept], rows=rows,
        bold=bold, groups=tuple(table.groups[k] for k in kept),
    )  # fmt: skip


def means_of(analysis: Analysis, names: list[str], caption: str) -> Table:
    """Make a table of the mean of each loss on some metrics."""
    digits = {name: decimals(analysis.columns[name].intervals.values()) for name in names}
    best = {name: analysis.best_mean(name) for name in names if analysis.columns[name].intervals}
    rows: list[list[str]] = []
    bold = set()
    for label in analysis.order:
        row = [label]
        for name in names:
            interval = analysis.columns[name].intervals.get(label)
            if interval is not None and interval.mean == best[name]:
                bold.add((len(rows), len(row)))
            row.append("–" if interval is None else with_interval(interval, digits[name]))
        rows.append(row)
    rows += [_of_reference(analysis, reference, digits) for reference in analysis.comparison.task.references]
    heading, groups = ["loss", *(words(name) for name in names)], ["", *groups_of(analysis, names)]
    return Table(caption, heading, rows, bold, groups=groups)


def _of_reference(analysis: Analysis, reference: str, digits: dict[str, int]) -> list[str]:
    """Return the row of what nobody trained: its value on each metric, which is the same under each loss."""
    row = [words(reference)]
    for name, places in digits.items():
        column = analysis.columns.get(f"{reference}_{name}")
        means = [interval.mean for interval in column.intervals.values()] if column else []
        row.append(f"{sum(means) / len(means):.{places}f}" if means else "–")
    return row


def differences_table(analysis: Analysis, metric: str, explained: bool = True) -> Table:
    """Make the table of the differences to the baseline on one metric; its caption explains the columns or not."""
    column, kind = analysis.columns[metric], ""
    digits = decimals([each.difference for each in column.against.values()])
    margin, rows = analysis.margin(metric), []
    both = any(each.this_test_set for each in column.against.values())
    for label in analysis.order:
        against = column.against.get(label)
        if against is not None:
            seeds = seeds_for(analysis, label, analysis.baseline, metric)
            equal = [p_value(against.p_equivalence), str(against.outcome)] if margin else []
            cells = _difference_cells(against, digits)
            alone = [_bounds(against.this_test_set, digits)] if both else []
            rows.append([label, *cells[:3], *alone, *cells[3:], "–" if seeds is None else seeds_range(seeds), *equal])
            kind = against.difference.kind.replace("%", " %")
    heading = [
        "loss", "pairs", "difference", "interval", *["this test set"] * both, "p (t)", "p (Wilcoxon)", "effect size",
        "P(better)", "seeds needed",
    ]  # fmt: skip
    heading += ["p (equivalent)", "outcome"] if margin else []
    alpha, size = analysis.options.alpha, max(1, column.size)
    over = f"over {analysis.family(metric)}"
    text = (
        f"Loss minus {analysis.baseline} on {words(metric)} ({better_is(metric, analysis.comparison.task)}), test set, "
        f"{analysis.epoch}. Interval: {kind} of pairs of runs with the same seed, {over}"
    )
    if explained:
        text += (
            ". p: paired t test and exact signed-rank test, adjusted alike (Bonferroni), so that an interval leaves "
            f"out 0 where p (t) is at most {alpha:g}. Effect size: mean over standard deviation of the differences "
            "(d_z). P(better): share of the pairs in which the loss is better, ties half. Seeds needed: a rough range, "
            f"which holds the right number as likely as not, for a power of 0.8 at level {alpha:g}/{size}"
        )
    if margin and explained:
        text += (
            f". Outcome: equivalent where p (equivalent), of two one-sided t tests adjusted alike, is below {alpha:g} "
            f"(the {100 * (1 - 2 * alpha / size):g} % interval of the t test lies within ±{margin:g}), even if the "
            f"loss differs measurably; else better or worse where p (t) is at most {alpha:g}; else open"
        )
    text += f". {population(analysis, metric)}"
    if any(not each.paired for each in column.against.values()):
        text += (
            ". Rows marked “runs” are not paired: Welch's t test, Mann-Whitney's test, Cohen's d, and n of the "
            "smaller side"
        )
    title = f"{analysis.comparison.title}: difference of each loss to {analysis.baseline} on {words(metric)}"
    return Table(text + ".", heading, rows, set(), "differences", title)


def population(analysis: Analysis, metric: str) -> str:
    """Say of what the differences on a metric speak, and why of no more."""
    against, samples = analysis.columns[metric].against.values(), analysis.samples
    known = [each for each in against if each.sources is not None]
    if known and known[0].sources is not None:
        return (
            f"Interval, p (t) and what is decided are for new seeds and new test data like these "
            f"{known[0].sources.n_samples} samples (crossed random effects); “this test set” is the interval for new "
            "seeds alone, and so are p (Wilcoxon) and seeds needed"
        )
    if samples.new_samples_by_seed:
        return "All is for new seeds, which have test samples of their own: so for new test data, too"
    if analysis.options.population == "seeds" or not against:
        return "All is for new seeds on this test set, not for new test data"
    why = samples.reason or f"{words(metric)} is not known by sample"
    return f"All is for new seeds on this test set, not for new test data: {why}"


def _bounds(difference: PairedDifference | None, digits: int) -> str:
    return bounds(difference, digits, "+") if difference and isfinite(difference.low) else "–"


def _difference_cells(against: PairComparison, digits: int) -> list[str]:
    difference = against.difference
    known = difference.low == difference.low
    return [
        str(difference.n) if against.paired else f"{difference.n} runs",
        f"{difference.mean:+.{digits}f}",
        bounds(difference, digits, "+") if known else difference.note or "–",
        p_value(against.p_t),
        p_value(against.p_wilcoxon),
        f"{difference.effect_size:+.2f}" if difference.effect_size == difference.effect_size else "–",
        "–" if isnan(difference.improvement) else f"{difference.improvement:.2f}",
    ]


def caption(analysis: Analysis) -> str:
    """Say what the numbers of the table of means are."""
    comparison, options = analysis.comparison, analysis.options
    confidence = f"{100 * options.confidence:g} %"
    kind = (
        f"half-width of the {confidence} Student-t interval"
        if options.interval == "t"
        else f"{confidence} BCa interval"
    )
    text = (
        f"{comparison.title}: test set, {analysis.epoch}; mean and {kind} over n runs that differ in the seed "
        f"(of {counted(len(comparison.seeds), 'seed')}: {span(comparison.seeds)}); sorted by {words(analysis.metric)}, "
        "best mean of each metric in bold"
    )
    if analysis.main.letters:
        equal = " or are equal in practice" if options.margin else ""
        text += (
            f"; losses that share a letter can't be told apart{equal} on {words(analysis.metric)} "
            f"(paired t tests at {options.alpha:g} over {analysis.family(analysis.metric)})"
        )
        if any("–" in in_short(each) for each in analysis.main.letters.values()):
            text += "; a–d is a, b, c and d"
    return text + "."


def notes(analysis: Analysis) -> list[str]:
    """Return what must be said beside the tables: power, heads, cells that are not in the numbers."""
    lines = [power(analysis)]
    heads = {
        label: entry["head"]
        for label in analysis.comparison.entries
        for entry in analysis.comparison.finished(label)[:1]
        if entry["head"] != "linear"
    }
    lines += [f"{label} has a {head} head, as its definition asks for." for label, head in heads.items()]
    smallest = min((interval.n for interval in analysis.main.intervals.values()), default=0)
    if analysis.options.interval == "bca" and smallest < BCA_FROM:
        lines.append(
            f"With fewer than {BCA_FROM} runs a bootstrap interval is too narrow: those are Student-t intervals."
        )
    missing = missing_lines(analysis)
    return [line for line in lines if line] + ([f"Not in the numbers: {'; '.join(missing)}."] if missing else [])


def _runs(analysis: Analysis, label: str) -> str:
    interval = analysis.main.intervals.get(label)
    n, asked = interval.n if interval else 0, len(analysis.comparison.seeds)
    return str(n) if n == asked or analysis.options.unpaired else f"{n} of {asked}"
