"""The figures of a run of an autoencoder: the terms of its loss, and what it draws from epoch to epoch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lossbench.tasks.drawing import save_figure
from lossbench.tasks.generation.image_figures import images_over_epochs, loss_terms


def of_run(
    folder: Path, entry: Mapping[str, Any], last: Mapping[str, Any] | None, snapshots: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """Draw the terms of the loss over the epochs, and reconstructions and samples of a few epochs."""
    if not entry["history"]:
        return []
    paths = [save_figure(folder / "loss_terms.png", lambda axes: loss_terms(axes, entry))]
    if last is not None and snapshots:
        path = folder / "generated.png"
        paths.append(save_figure(path, lambda axes: images_over_epochs(axes, last, snapshots), left=0.26))
    return paths
