"""The runs whose predictions a report shows side by side."""

from matplotlib.axes import Axes

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.comparisons import Arrays, load_arrays
from lossbench.records.schema import Record

LAST = "predictions.npz"


def predictions_file(analysis: Analysis) -> tuple[str, str]:
    """Return the file of predictions that fits the selection, and the epoch that it is of; others are not kept."""
    if analysis.options.select == "best_val":
        return "predictions_best.npz", "best validation epoch"
    return LAST, "last epoch"


def first_runs(analysis: Analysis) -> dict[str, Record]:
    """Return a run of each loss, of the first seed that all have where there is one."""
    runs = {label: {run["seed"]: run for run in analysis.comparison.finished(label)} for label in analysis.counted}
    common = set.intersection(*map(set, runs.values())) if runs else set()
    return {label: found[min(common or found)] for label, found in runs.items()}


def first_arrays(analysis: Analysis, keys: list[str], most: int) -> tuple[dict[str, Arrays], str, str]:
    """Return some arrays of a run of each of at most so many losses, of what they are, and which losses are left out.

    The last two are for captions: the epoch and the seed, and a sentence, empty if no loss is left out.
    """
    name, epoch = predictions_file(analysis)
    runs = first_runs(analysis)
    found = {label: each for label, run in runs.items() if (each := load_arrays(run, name, keys)) is not None}
    told = f"{epoch}, seed {next(iter(runs.values()))['seed']}" if runs else ""
    left_out = f" Not drawn: {', '.join(list(found)[most:])}." if len(found) > most else ""
    return dict(list(found.items())[:most]), told, left_out


def label_rows(rows: list[Axes], labels: list[str]) -> None:
    """Write a label to the left of each row of panels, of which `rows` are the first ones."""
    for axes, label in zip(rows, labels, strict=True):
        axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
