"""The figures of a run that generates: the terms of its loss, and what it draws over the epochs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lossbench.tasks.drawing import save_figure
from lossbench.tasks.generation.image_figures import images_over_epochs, loss_terms
from lossbench.tasks.generation.point_figures import points_over_epochs


def of_run(
    folder: Path, entry: Mapping[str, Any], last: Mapping[str, Any] | None, snapshots: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """Draw the terms of the loss over the epochs, and the samples of a few epochs."""
    if not entry["history"]:
        return []
    paths = [save_figure(folder / "loss_terms.png", lambda axes: loss_terms(axes, entry))]
    if last is None or not snapshots:
        return paths
    if is_of_points(last["test"]):
        paths.append(folder / "points.png")
        points_over_epochs(last["test"], snapshots).savefig(paths[-1], dpi=100, pil_kwargs={"compress_level": 1})
        return paths
    path = folder / "generated.png"
    return [*paths, save_figure(path, lambda axes: images_over_epochs(axes, last, snapshots), left=0.26)]


def is_of_points(test: Mapping[str, Any]) -> bool:
    """Tell whether samples are points: images are kept as pixels, uint8."""
    return str(test["samples"].dtype) != "torch.uint8"
