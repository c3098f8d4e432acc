"""The same runs at other epochs: what the choice of the epoch does to each loss."""

from lossbench.compare.numbers.analysis import Analysis, Values
from lossbench.compare.numbers.selection import SELECTIONS, test_metrics
from lossbench.compare.numbers.statistics import mean_interval
from lossbench.compare.report.formatting import decimals, with_interval, words
from lossbench.compare.report.tables import Table
from lossbench.tasks.task import UNBOUNDED

HEADINGS = {
    "last": "last epoch",
    "best_val": "best validation epoch",
    "best_clean_val": "best clean validation epoch",
    "oracle": "ORACLE (best test epoch)",
}

GAP = "gap: oracle minus "

ByLabel = dict[str, Values]


def selections_table(analysis: Analysis) -> Table:
    """Make the table of the main metric at each selection; the oracle and its gaps only if it was asked for."""
    columns = {name: _values(analysis, name) for name in selections(analysis)}
    columns = {name: found for name, found in columns.items() if any(found.values())}
    headed = {HEADINGS[name]: found for name, found in columns.items()}
    text = (
        f"{words(analysis.metric)} on the test set at each choice of the epoch; mean and half-width of the "
        f"{100 * analysis.options.confidence:g} % Student-t interval over n runs."
    )
    if "best_clean_val" in columns:
        text += " Clean validation targets exist only because the corruption is ours: no honest selection."
    if "oracle" in columns:
        honest = [name for name in columns if name != "oracle"]
        headed |= {f"{GAP}{HEADINGS[name]}": _minus(columns["oracle"], columns[name]) for name in honest}
        text += f" The oracle picks the epoch of each run by its test {words(analysis.metric)}: a bound, not a result."
    texts = [_texts(analysis, found, "+" if name.startswith(GAP) else "") for name, found in headed.items()]
    rows = [[label, *(column[label] for column in texts)] for label in analysis.order]
    title = f"{analysis.comparison.title}: {words(analysis.metric)} at each choice of the epoch"
    return Table(text, ["loss", *headed], rows, set(), "epochs", title)


def selections(analysis: Analysis) -> list[str]:
    """Return the choices of the epoch that are shown: the oracle and clean targets only where they say something."""
    chosen = analysis.options.select
    left_out = {"oracle"} if chosen != "oracle" else set()
    if not _is_corrupted(analysis) and chosen != "best_clean_val":
        left_out.add("best_clean_val")  # the same as best_val
    return [name for name in SELECTIONS if name not in left_out]


def gap_lines(analysis: Analysis) -> list[str]:
    """Say for each loss how far the oracle is above honest selections; nothing where it was not asked for."""
    table = selections_table(analysis)
    gaps = [k for k, name in enumerate(table.heading) if name.startswith(GAP)]
    return [f"{row[0]}: " + "; ".join(f"{table.heading[k]} {row[k]}" for k in gaps) for row in table.rows if gaps]


def _values(analysis: Analysis, select: str) -> ByLabel:
    found: ByLabel = {}
    for label in analysis.order:
        metrics = {
            entry["seed"]: test_metrics(entry, select, analysis.metric) for entry in analysis.comparison.finished(label)
        }
        found[label] = {seed: each[analysis.metric] for seed, each in metrics.items() if analysis.metric in each}
    return found


def _minus(first: ByLabel, second: ByLabel) -> ByLabel:
    return {
        label: {seed: value - second[label][seed] for seed, value in found.items() if seed in second[label]}
        for label, found in first.items()
    }


def _texts(analysis: Analysis, found: ByLabel, sign: str) -> dict[str, str]:
    confidence = analysis.options.confidence
    is_gap = bool(sign)
    bounds = UNBOUNDED if is_gap else analysis.comparison.task.bounds(analysis.metric)
    intervals = {
        label: mean_interval(list(each.values()), confidence, bounds=bounds) for label, each in found.items() if each
    }
    digits = decimals(intervals.values())
    return {
        label: f"{with_interval(intervals[label], digits, sign)} (n={intervals[label].n})"
        if label in intervals
        else "–"
        for label in found
    }


def _is_corrupted(analysis: Analysis) -> bool:
    data = analysis.comparison.any_entry["config"].get("data", {})
    return any((data.get(group) or {}).get("kind", "none") != "none" for group in ("noise", "contamination"))
