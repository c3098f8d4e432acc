"""Pictures of retrieval: recall over ranks, and query by query against BM25."""

import numpy as np
from matplotlib.figure import Figure

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.comparisons import Arrays, load_arrays
from lossbench.compare.report.figures.drawing import (
    OVERLAID,
    WIDTH,
    Array,
    Picture,
    columns_of,
    label_axes,
    lines_legend,
    over_seeds,
    panels,
    title_panel,
)
from lossbench.compare.report.figures.first_runs import predictions_file
from lossbench.compare.report.figures.in_numbers import in_numbers, number, numbers
from lossbench.tasks.loss_lines import line_of
from lossbench.tasks.retrieval.figures import RANDOM, draw_orders, recalled

CURVES = ["found", "grades", "passages"]
BETTER, EQUAL, WORSE = "#6f9fd8", "#d8d8d8", "#e0985a"


def recall(analysis: Analysis) -> list[Picture]:
    """Draw the recall of each loss over the first 100 ranks, with BM25 and a random order."""
    found, epoch = _of_all(analysis, CURVES)
    if not found:
        return []
    known, _ = _of_all(analysis, [*CURVES, "found_by_bm25"])
    overlaid = len(found) <= OVERLAID
    means: dict[str, Array] = {}
    figure, grid = panels(1, 3.6) if overlaid else panels(len(found), 1.75, share_x=True, share_y=True)
    groups = [found] if overlaid else [{label: arrays} for label, arrays in found.items()]
    for axes, group in zip(grid, groups, strict=True):
        curves = {
            label: np.mean([recalled(each["found"], each["grades"]) for each in runs], axis=0)
            for label, runs in group.items()
        }
        means |= curves
        orders = {label: (line_of(label, analysis.baseline, marked=overlaid), curve) for label, curve in curves.items()}
        label, runs = next(iter(group.items()))
        some = known.get(label, runs)[0]  # BM25 is the same in all runs on the same queries
        draw_orders(
            axes,
            orders,
            some,
            lambda hits, of=some: recalled(hits, of["grades"]),
        )
        ranks = np.arange(1, some["found"].shape[1] + 1)
        chance = ranks / int(some["passages"][0])
        axes.plot(ranks, chance, color=RANDOM, linewidth=1.2, linestyle=":", label="random order")
        if not overlaid:
            title_panel(axes, label, columns_of(grid))
    label_axes(grid, "k", "recall@k")
    if overlaid:
        lines_legend(figure, grid[0], [*found, "BM25", "random order"], analysis.baseline)
    caption = (
        f"Share of the relevant passages among the first k, mean over the test queries and {over_seeds(analysis)} "
        f"({epoch}). Dashed: BM25, which learns nothing; dotted: a random order."
    )
    ranks_told = [1, 10, 100]
    alt = in_numbers(
        f"Recall@{', @'.join(map(str, ranks_told))}",
        {
            label: ", ".join(number(float(curve[k - 1])) for k in ranks_told if k <= len(curve))
            for label, curve in means.items()
        },
    )
    return [Picture("recall", "Recall over ranks", caption, figure, alt)]


def against_bm25(analysis: Analysis) -> list[Picture]:
    """Draw for how many queries each loss does better than BM25, equally well, and worse."""
    found, epoch = _of_all(analysis, ["ndcg_at_10", "bm25_ndcg_at_10"])
    if not found:
        return []
    figure = Figure(figsize=(WIDTH, 1.1 + 0.3 * len(found)), layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(found))
    left = np.zeros(len(found))
    differences = {
        label: np.concatenate([each["ndcg_at_10"] - each["bm25_ndcg_at_10"] for each in runs])
        for label, runs in found.items()
    }
    told: dict[str, dict[str, float]] = {label: {} for label in found}
    for name, color, chosen in (
        ("better", BETTER, lambda change: change > 1e-9),
        ("equal", EQUAL, lambda change: np.abs(change) <= 1e-9),
        ("worse", WORSE, lambda change: change < -1e-9),
    ):
        shares = np.array([chosen(change).mean() for change in differences.values()])
        for label, share in zip(found, shares, strict=True):
            told[label][name] = float(share)
        axes.barh(rows, shares, left=left, color=color, height=0.7, label=name)
        for row, share, start in zip(rows, shares, left, strict=True):
            if share > 0.06:
                axes.text(start + share / 2, float(row), f"{100 * share:.0f} %", ha="center", va="center", fontsize=8)
        left += shares
    axes.set_yticks(rows, list(found))
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="share of the test queries")
    lines_legend(figure, axes, ["better", "equal", "worse"])
    caption = (
        f"Queries of the test set whose nDCG@10 is above, equal to and below that of BM25, over {over_seeds(analysis)} "
        f"({epoch})."
    )
    alt = in_numbers("Share of the queries against BM25", {label: numbers(each) for label, each in told.items()})
    return [Picture("against_bm25", "Query by query against BM25", caption, figure, alt)]


def _of_all(analysis: Analysis, keys: list[str]) -> tuple[dict[str, list[Arrays]], str]:
    """Return arrays of all runs by loss, where there are some, and of which epoch they are."""
    name, epoch = predictions_file(analysis)
    found = {}
    for label in analysis.counted:
        loaded = [load_arrays(run, name, keys) for run in analysis.comparison.finished(label)]
        if runs := [arrays for arrays in loaded if arrays is not None]:
            found[label] = runs
    return found, epoch


PICTURES = (recall, against_bm25)
"""What the report shows of the task, in this order; each returns no picture where it has nothing to show."""
