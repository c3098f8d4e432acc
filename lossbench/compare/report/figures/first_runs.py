"""The runs whose predictions a report shows side by side."""

from lossbench.compare.numbers.analysis import Analysis
from lossbench.records.schema import Record


def first_runs(analysis: Analysis) -> dict[str, Record]:
    """Return a run of each loss, of the first seed that all have where there is one."""
    runs = {label: {run["seed"]: run for run in analysis.comparison.finished(label)} for label in analysis.counted}
    common = set.intersection(*map(set, runs.values())) if runs else set()
    return {label: found[min(common or found)] for label, found in runs.items()}
