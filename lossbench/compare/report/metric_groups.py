"""All recorded metrics of a comparison, in groups of what they say."""

from collections import defaultdict

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.report.formatting import interval_words, listed, words
from lossbench.compare.report.tables import Table, means_of
from lossbench.words import counted

MOST_COLUMNS = 20
"""The metrics of more classes are only in table.csv."""
OTHERS = "Others"


def group_tables(analysis: Analysis) -> dict[str, Table]:
    """Make a table for each group of metrics that was recorded, by its title; what is in no group comes last.

    The groups and the metrics in them have the order of the task.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for key, metric in analysis.comparison.task.named.items():
        if metric.per:
            found = [name for name in analysis.columns if name.startswith(key) and name.removeprefix(key).isdigit()]
            groups[metric.group] += sorted(found, key=lambda name: int(name.rpartition("/")[2]))
        elif analysis.comparison.task.is_of_reference(key):
            continue  # a row of the tables
        elif key in analysis.columns and _says_more(analysis, key, metric.truth):
            groups[metric.group or OTHERS].append(key)
    numbered = {metric.group for metric in analysis.comparison.task.metrics if metric.per}
    others = groups.pop(OTHERS, [])
    return {
        title: means_of(analysis, names, _caption(analysis, names))
        for title, names in {**groups, OTHERS: others}.items()
        if names and (title not in numbered or len(names) <= MOST_COLUMNS)
    }


def _says_more(analysis: Analysis, name: str, truth: str) -> bool:
    """Tell whether a metric against the observed target has other values than the one against the truth."""
    clean = analysis.columns.get(truth)
    means = {label: each.mean for label, each in analysis.columns[name].intervals.items()}
    return clean is None or means != {label: each.mean for label, each in clean.intervals.items()}


def _caption(analysis: Analysis, names: list[str]) -> str:
    direction = analysis.comparison.task.direction
    ways = {way: [words(name) for name in names if direction(name) == way] for way in ("higher", "lower", "neither")}
    found = {way: members for way, members in ways.items() if members}
    first, *others = found or ["higher"]
    way = {"higher": "higher is better", "lower": "lower is better", "neither": "neither way is better"}[first]
    way += "".join(f", but of {listed(found[other], most=len(names))} {other}" for other in others)
    most = max((each.n for each in analysis.main.intervals.values()), default=0)
    return (
        f"Test set, {analysis.epoch}; mean and {interval_words(analysis.options)} over "
        f"up to {counted(most, 'run')}; {way}; best mean of each metric in bold."
    )
