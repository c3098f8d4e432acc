"""Data: sources, their corruptions, and the in-memory data module. Importing the package does not import torch."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from lossbench.data.loader import Batch as Batch
    from lossbench.data.loader import BatchLoader as BatchLoader
    from lossbench.data.module import DataModule as DataModule


def load_data(node: "DictConfig") -> Any:
    """Build and set up the data module of a config node; a user's own LightningDataModule comes wrapped as ours."""
    if node["_target_"] != "lossbench.data.DataModule":
        from lossbench.data.foreign import wrap

        return wrap(node)
    from lossbench.build import build

    module = build(node)
    module.setup()
    return module


def __getattr__(name: str) -> Any:
    if name == "DataModule":
        from lossbench.data.module import DataModule

        return DataModule
    if name in ("Batch", "BatchLoader"):
        from lossbench.data import loader

        return getattr(loader, name)
    raise AttributeError(f"module 'lossbench.data' has no attribute {name!r}")
