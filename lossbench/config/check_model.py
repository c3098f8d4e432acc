"""Check models that are not lossbench's own, and say where images are too large for one of ours."""

from collections.abc import Iterator
from pathlib import Path

from lossbench.config.cell import Cell
from lossbench.data.own_files import size_of_pictures

LARGE = 96
"""Pixels a side beyond which the small networks are no good choice."""
SMALL_NETWORKS = ("ConvNet", "LeNet", "MLP")


def check_model(cell: Cell) -> None:
    """Check that timm is installed, and has the network that is asked for; it is imported only then.

    Raises
    ------
    ConfigError
        If it isn't, or has none.

    """
    model = cell.config.model
    if str(model["_target_"]).startswith("lossbench.models.of_timm."):
        from lossbench.models.of_timm import require_name

        require_name(str(model.get("name", "resnet18")))


def say_of_large_images(cell: Cell) -> Iterator[str]:
    """Say that images of the user's own are large for the network that is chosen, and which others there are."""
    data, network = cell.config.data, str(cell.config.model["_target_"]).rpartition(".")[2]
    if data.get("source") != "images" or network not in SMALL_NETWORKS or not cell.is_supervised:
        return
    height, width = data.get("size") or size_of_pictures(Path(str(data.path)).expanduser())
    if max(height, width) > LARGE:
        yield (
            f"data=images: pictures of {height}x{width} are large for model={cell.choices['model']}. Bring a network: "
            "model=timm model.name=resnet18 (pip install 'lossbench[timm]') or model._target_=my_module.MyModel; or "
            "make them smaller, data.size=[64,64], with model=resnet32."
        )
