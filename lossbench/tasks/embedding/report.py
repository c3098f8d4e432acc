"""Pictures of embeddings: neighbours of the same samples under each loss, cosines of pairs, views, collapse."""

import numpy as np
from matplotlib.figure import Figure

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.selection import test_metrics
from lossbench.compare.report.figures.drawing import WIDTH, Picture, columns_of, label_axes, panels, title_panel
from lossbench.compare.report.figures.first_runs import first_arrays, label_rows
from lossbench.compare.report.figures.in_numbers import in_numbers, number
from lossbench.tasks.embedding.figures import cosines_of_pairs, draw_cosines, draw_sample, draw_view, seen_along

MOST_LOSSES = 12
QUERIES = 2
"""Samples whose neighbours are drawn."""
COLLAPSED = 2.0
"""Embeddings that spread in fewer directions than this are said to have collapsed."""


def cosines(analysis: Analysis) -> list[Picture]:
    """Draw the cosines of pairs of one class and of two, and say which losses have collapsed."""
    shown, told, left_out = first_arrays(analysis, ["embedding", "target"], MOST_LOSSES)
    if not shown:
        return []
    figure, grid = panels(len(shown), 2.1, share_x=True)
    for axes, (label, arrays) in zip(grid, shown.items(), strict=True):
        draw_cosines(axes, arrays["embedding"], arrays["target"])
        title_panel(axes, label, columns_of(grid))
    label_axes(grid, "cosine", "density")
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8.5)
    caption = (
        f"Cosines of all pairs of test samples, of one class and of two ({told}); what overlaps can't be told apart by "
        f"a threshold.{_collapsed(analysis)}"
    )
    means = {}
    for label, arrays in shown.items():
        values, same = cosines_of_pairs(arrays["embedding"], arrays["target"])
        parts = [number(float(values[chosen].mean())) for chosen in (same, ~same) if chosen.any()]
        means[label] = " and ".join(parts)
    alt = in_numbers("Mean cosine of pairs of one class and of two", means)
    return [Picture("cosines", "Same class, different class", caption + left_out, figure, alt)]


def _collapsed(analysis: Analysis) -> str:
    """Name the losses whose embeddings spread in less than two directions, on average over the seeds."""
    collapsed = []
    for label in analysis.counted:
        runs = [
            test_metrics(run, analysis.options.select, analysis.metric) for run in analysis.comparison.finished(label)
        ]
        known = [found["effective_rank"] for found in runs if "effective_rank" in found]
        if known and np.mean(known) < COLLAPSED:
            collapsed.append(f"{label} ({np.mean(known):.2f})")
    return f" Collapsed, by an effective rank below 2: {', '.join(collapsed)}." if collapsed else ""


def neighbours(analysis: Analysis) -> list[Picture]:
    """Draw the nearest neighbours of the same samples under each loss."""
    shown, told, left_out = first_arrays(analysis, ["shown", "shown_same"], MOST_LOSSES)
    if not shown:
        return []
    columns = next(iter(shown.values()))["shown"].shape[1]
    figure = Figure(figsize=(WIDTH, 0.3 + 0.66 * len(shown)), layout="constrained")
    grid = figure.subplots(len(shown), QUERIES * columns, squeeze=False)
    for row, arrays in enumerate(shown.values()):
        for query in range(QUERIES):
            for place in range(columns):
                same = None if place == 0 else bool(arrays["shown_same"][query, place])
                draw_sample(grid[row, query * columns + place], arrays["shown"][query, place], same)
    label_rows(list(grid[:, 0]), list(shown))
    caption = (
        f"Two samples of the test set, in grey frames, and their {columns - 1} nearest neighbours under each loss: "
        f"blue of the same class, orange of another ({told})."
    )
    right = {label: str(int(arrays["shown_same"][:QUERIES, 1:columns].sum())) for label, arrays in shown.items()}
    alt = in_numbers(f"Of {QUERIES * (columns - 1)} neighbours of the right class", right)
    return [Picture("neighbours", "The nearest neighbours", caption + left_out, figure, alt)]


def views(analysis: Analysis) -> list[Picture]:
    """Draw the embeddings of ten classes under each loss along their principal components."""
    shown, told, left_out = first_arrays(analysis, ["embedding", "target"], MOST_LOSSES)
    if not shown:
        return []
    figure, grid = panels(len(shown), 2.2)
    for axes, (label, arrays) in zip(grid, shown.items(), strict=True):
        draw_view(axes, arrays["embedding"], arrays["target"])
        title_panel(axes, label, columns_of(grid))
    caption = (
        f"The first ten test classes, each in its colour, along the two largest principal components ({told}). What "
        "lies together here may lie apart in the other directions."
    )
    shares = {label: number(seen_along(arrays["embedding"], arrays["target"])[2]) for label, arrays in shown.items()}
    alt = in_numbers("Share of the variance along the two directions that are drawn", shares)
    return [Picture("embeddings", "Embeddings in two dimensions", caption + left_out, figure, alt)]


PICTURES = (cosines, neighbours, views)
"""What the report shows of the task."""
