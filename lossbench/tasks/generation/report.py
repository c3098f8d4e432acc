"""Pictures of generated samples: images, or points with the score or the density of each critic."""

import numpy as np

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.comparisons import Arrays, load_arrays
from lossbench.compare.report.figures.drawing import Picture, columns_of, panels, title_panel
from lossbench.compare.report.figures.first_runs import predictions_file
from lossbench.compare.report.figures.in_numbers import in_numbers, number
from lossbench.tasks.autoencoding.report import generated
from lossbench.tasks.generation.point_figures import DEPTH, show_density, show_points


def generated_points(analysis: Analysis) -> list[Picture]:
    """Draw the points that each loss generates over held-out ones."""
    name, epoch = predictions_file(analysis)
    seed, runs = _of_one_seed(analysis, {name: ["samples", "real"]})
    if not runs:
        return []
    figure, grid = panels(len(runs), 2.6)
    for axes, (label, arrays) in zip(grid, runs.items(), strict=True):
        show_points(axes, arrays["samples"], arrays["real"])
        title_panel(axes, label, columns_of(grid))
    caption = f"Points of each loss from the same noise (red; seed {seed}, {epoch}) over held-out ones (grey)."
    alt = in_numbers("Generated points, their mean and spread in both coordinates", _spread(runs))
    return [Picture("points", "Generated points", caption, figure, alt)]


def _spread(runs: dict[str, Arrays]) -> dict[str, str]:
    """Write how many points each loss generates, where their middle is and how far they spread."""
    told = {}
    for label, arrays in runs.items():
        points = arrays["samples"]
        middle, spread = (", ".join(map(number, each.tolist())) for each in (points.mean(0), points.std(0)))
        told[label] = f"{len(points)} around ({middle}) ± ({spread})"
    return told


def critic_surfaces(analysis: Analysis) -> list[Picture]:
    """Draw the critic's score over the plane at the last epoch, with real and generated points."""
    files = {"snapshots.npz": ["side", "critic"], "predictions.npz": ["samples", "real"]}
    seed, runs = _of_one_seed(analysis, files)
    if not runs:
        return []
    figure, grid = panels(len(runs), 2.6)
    for axes, (label, arrays) in zip(grid, runs.items(), strict=True):
        show_points(axes, arrays["samples"], arrays["real"], arrays["side"][-1], arrays["critic"][-1])
        title_panel(axes, label, columns_of(grid))
    caption = (
        f"Score of the critic at the last epoch (seed {seed}): green where it takes a point for real, brown for fake, "
        "on a scale of its own for each loss, around the median; generated points in red, held-out ones in grey. A "
        "critic that can no longer tell them apart is flat where the data are."
    )
    scores = {
        label: f"{number(float(arrays['critic'][-1].min()))} to {number(float(arrays['critic'][-1].max()))}"
        for label, arrays in runs.items()
    }
    return [
        Picture("critic_surfaces", "How the critic judges", caption, figure, in_numbers("Range of the scores", scores))
    ]


def densities(analysis: Analysis) -> list[Picture]:
    """Draw the density over the plane at the last epoch."""
    files = {"snapshots.npz": ["side", "log_density"], "predictions.npz": ["samples", "real"]}
    seed, runs = _of_one_seed(analysis, files)
    if not runs:
        return []
    figure, grid = panels(len(runs), 2.6)
    for axes, (label, arrays) in zip(grid, runs.items(), strict=True):
        show_density(axes, arrays["side"][-1], arrays["log_density"][-1])
        show_points(axes, arrays["samples"][:0], arrays["real"][:200])
        title_panel(axes, label, columns_of(grid))
    caption = (
        f"Density of each loss at the last epoch (seed {seed}), blue where it is large, white where it is more than "
        f"{DEPTH:g} nats below the largest; some held-out points in grey."
    )
    highest = {label: number(float(arrays["log_density"][-1].max())) for label, arrays in runs.items()}
    return [Picture("densities", "Densities", caption, figure, in_numbers("Largest log density, in nats", highest))]


def _of_one_seed(analysis: Analysis, files: dict[str, list[str]]) -> tuple[int, dict[str, Arrays]]:
    """Return the first seed with runs that generate points, and the arrays of these files by label, best loss first."""
    for seed in analysis.comparison.seeds:
        runs = {}
        for label in analysis.counted:
            entry = analysis.comparison.entries[label].get(seed)
            loaded = [load_arrays(entry, name, keys) for name, keys in files.items()] if entry else [None]
            arrays = {key: array for found in loaded for key, array in (found or {}).items()}
            if None not in loaded and arrays["samples"].dtype != np.uint8:
                runs[label] = arrays
        if runs:
            return seed, runs
    return 0, {}


PICTURES = (generated, generated_points, densities, critic_surfaces)
"""What the report shows of the task, in this order; each returns no picture where it has nothing to show."""
