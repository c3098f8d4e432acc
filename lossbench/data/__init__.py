"""Data: sources, their corruptions, and the in-memory data module. Importing the package does not import torch."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lossbench.data.loader import Batch as Batch
    from lossbench.data.loader import BatchLoader as BatchLoader
    from lossbench.data.module import DataModule as DataModule


def __getattr__(name: str) -> Any:
    if name == "DataModule":
        from lossbench.data.module import DataModule

        return DataModule
    if name in ("Batch", "BatchLoader"):
        from lossbench.data import loader

        return getattr(loader, name)
    raise AttributeError(f"module 'lossbench.data' has no attribute {name!r}")
