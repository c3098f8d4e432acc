"""Pictures of what is generated: samples and reconstructions of every loss side by side."""

import numpy as np

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.comparisons import Arrays, load_arrays
from lossbench.compare.report.figures.drawing import Picture, columns_of, panels, title_panel
from lossbench.compare.report.figures.first_runs import first_runs, predictions_file
from lossbench.compare.report.figures.in_numbers import in_numbers, number
from lossbench.tasks.generation.image_figures import Array, mosaic

SIDE = 6
"""Samples of each loss: so many rows of so many."""
IMAGES = 10


def generated(analysis: Analysis) -> list[Picture]:
    """Draw samples of every loss, and the reconstructions of the same test images where losses reconstruct."""
    name, epoch = predictions_file(analysis)
    runs = first_runs(analysis)
    samples = {label: found["samples"] for label, run in runs.items() if (found := load_arrays(run, name, ["samples"]))}
    samples = {label: drawn for label, drawn in samples.items() if drawn.dtype == np.uint8}
    if not samples:
        return []
    told = f"seed {next(iter(runs.values()))['seed']}, {epoch}"
    pictures = [_samples(samples, told)]
    keys = ["images", "reconstructions"]
    pairs = {label: found for label, run in runs.items() if (found := load_arrays(run, name, keys))}
    return [*pictures, _reconstructions(pairs, told)] if pairs else pictures


def _samples(samples: dict[str, Array], told: str) -> Picture:
    figure, grid = panels(len(samples), 2.6)
    for axes, (label, drawn) in zip(grid, samples.items(), strict=True):
        rows = [drawn[k * SIDE : (k + 1) * SIDE] for k in range(SIDE)]
        axes.imshow(mosaic([row for row in rows if len(row)]), cmap="gray", vmin=0, vmax=255)
        axes.set_axis_off()
        title_panel(axes, label, columns_of(grid))
    caption = f"Samples of each loss ({told}). The same place has the same noise under every loss."
    shown = {label: drawn[: SIDE**2] for label, drawn in samples.items()}
    brightness = {label: f"{len(drawn)}, {number(float(drawn.mean()) / 255)}" for label, drawn in shown.items()}
    alt = in_numbers("Samples and their mean brightness, of 0 to 1", brightness)
    return Picture("samples", "Samples", caption, figure, alt)


def _reconstructions(pairs: dict[str, Arrays], told: str) -> Picture:
    rows = [next(iter(pairs.values()))["images"][:IMAGES]]
    rows += [found["reconstructions"][:IMAGES] for found in pairs.values()]
    figure, (axes,) = panels(1, 0.1 + 0.7 * len(rows))
    axes.imshow(mosaic(rows), cmap="gray", vmin=0, vmax=255)
    axes.set_xticks([])
    places = (np.arange(len(rows)) + 0.5) * (rows[0].shape[-2] + 2)
    axes.set_yticks(places, ["test images", *pairs], fontsize=8.5)
    axes.tick_params(length=0)
    axes.set_anchor("E")
    axes.spines[:].set_visible(False)
    caption = f"The first test images and what each loss makes of their codes ({told})."
    images, *made = (row.astype(float) / 255 for row in rows)
    errors = {label: number(float(np.abs(row - images).mean())) for label, row in zip(pairs, made, strict=True)}
    alt = in_numbers(f"Mean difference of a pixel of {len(images)} images to the reconstruction, of 0 to 1", errors)
    return Picture("reconstructions", "Reconstructions", caption, figure, alt)


PICTURES = (generated,)
"""What the report shows of the task."""
