"""A user's own LightningDataModule, seen through the interface of lossbench's."""

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from lossbench.catalogue import locate
from lossbench.data.loader import Batch
from lossbench.data.module import center_and_scale
from lossbench.data.training_set import counts_by_class
from lossbench.errors import ConfigError


class ForeignDataModule(pl.LightningDataModule):
    """Wrap a LightningDataModule whose loaders give pairs (inputs, target).

    Its training, validation (optional) and test loaders are used as they are; its batch order is its own affair. The
    training loader is read once to count the classes, or to find the centre and scale of a regression target. Its
    attributes `num_classes` and `class_names` are used where it has them.

    Parameters
    ----------
    module : LightningDataModule
        The user's.
    task : str
        "regression", "distributional", "count", "binary", "multiclass" or "multilabel".
    standardize : str
        What a target of regression is trained as; see `module.center_and_scale`.

    """

    def __init__(self, module: pl.LightningDataModule, task: str, standardize: str = "robust") -> None:
        super().__init__()
        if task == "sequence":
            raise ConfigError(
                f"data.task=sequence needs the alignment of each line, which data={type(module).__name__} "
                "can't give: its loaders give pairs (inputs, target). Use data=digit_lines or mnist_lines."
            )
        module.prepare_data()
        module.setup("fit")
        module.setup("test")
        self.task = task
        self.name = type(module).__name__
        self._train = module.train_dataloader()
        inputs, targets = _read(self._train)
        self.input_shape = list(inputs.shape[1:])
        self.num_train = self.train_size = len(targets)
        self.class_names = [str(name) for name in getattr(module, "class_names", ())]
        self.num_classes: int | None = None
        self.train_class_counts: list[int] | None = None
        self.target_center, self.target_scale = 0.0, 1.0
        if task in ("distributional", "regression"):
            self.target_center, self.target_scale = center_and_scale(targets, standardize)
        elif task == "multilabel":
            self.num_classes = _number_of_labels(targets)
            self.train_class_counts = counts_by_class(_with_unknown(targets), self.num_classes, task)
        elif task != "count":
            self.num_classes = int(getattr(module, "num_classes", 2 if task == "binary" else int(targets.max()) + 1))
            self.train_class_counts = counts_by_class(targets.long(), self.num_classes, task)
        loaders = {"val": _optional(module, "val_dataloader"), "test": _optional(module, "test_dataloader")}
        self.evaluation_loaders = {name: self._wrap(loader) for name, loader in loaders.items() if loader is not None}
        if "test" not in self.evaluation_loaders:
            raise ConfigError(
                f"data._target_={self.name}: it has no test_dataloader; losses are compared on a test set."
            )
        self.hashes: dict[str, str] = {}
        self.modes = None
        self.contaminated = torch.empty(0, dtype=torch.int64)

    def train_dataloader(self) -> "_Batches":
        """Return the training loader."""
        return self._wrap(self._train)

    def val_dataloader(self) -> list["_Batches"]:
        """Return the loaders that are evaluated after each epoch."""
        return list(self.evaluation_loaders.values())

    def facts(self) -> dict[str, Any]:
        """Return what the record says of the data."""
        counts = {"class_counts": self.train_class_counts, "train_class_counts": self.train_class_counts}
        scale = {"target_center": self.target_center, "target_scale": self.target_scale}
        return {"source": self.name, "train": self.num_train, **counts, "class_names": self.class_names, **scale}

    def _wrap(self, loader: Any) -> "_Batches":
        return _Batches(loader, self.target_center, self.target_scale, classes=self.num_classes is not None)


class _Batches:
    """The batches of a loader as `Batch`es, regression targets standardised, classes and labels as integers."""

    def __init__(self, loader: Any, center: float, scale: float, classes: bool) -> None:
        self.loader, self.center, self.scale, self.classes = loader, center, scale, classes

    batch_sampler = None  # Lightning asks every loader that has a sampler for it

    @property
    def sampler(self) -> Any:
        """The loader's own, whose `set_epoch` Lightning calls."""
        return getattr(self.loader, "sampler", None)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        start = 0
        for inputs, target in self.loader:
            index = torch.arange(start, start + len(target))
            start += len(target)
            scaled = _with_unknown(target) if self.classes else (target - self.center) / self.scale
            yield Batch(inputs, scaled, scaled, index)


def wrap(node: DictConfig) -> ForeignDataModule:
    """Build the LightningDataModule that `data._target_` names from those keys of the node that it takes."""
    target = locate(node["_target_"])
    if not (inspect.isclass(target) and issubclass(target, pl.LightningDataModule)):
        raise ConfigError(
            f"data._target_={node['_target_']} is not a LightningDataModule of pytorch_lightning. "
            "(The package `lightning` has a class of the same name that does not mix with it.)"
        )
    taken = inspect.signature(target).parameters
    settings: Any = OmegaConf.to_container(node, resolve=True)
    module = target(**{name: value for name, value in settings.items() if name in taken})
    return ForeignDataModule(module, node.task, node.get("standardize", "robust"))


def _read(loader: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    first: Tensor | None = None
    targets = []
    for batch in loader:
        if not isinstance(batch, list | tuple) or len(batch) != 2:
            raise ConfigError("the loaders of a LightningDataModule must give pairs (inputs, target).")
        first = batch[0] if first is None else first
        targets.append(batch[1])
    if first is None:
        raise ConfigError("the training loader gives no batch.")
    return first, torch.cat(targets)


def _with_unknown(labels: Tensor) -> Tensor:
    """Return labels as integers, -1 for those that are not known (NaN)."""
    return (labels.nan_to_num(-1) if labels.is_floating_point() else labels).long()


def _number_of_labels(targets: Tensor) -> int:
    labels = _with_unknown(targets)
    if targets.ndim != 2 or targets.shape[1] < 2 or not torch.isin(labels, torch.tensor([-1, 0, 1])).all():
        raise ConfigError(
            f"data.task=multilabel needs targets of shape (N, L) with 0 or 1 for each of L > 1 labels (NaN or -1: not "
            f"known), but these have shape {tuple(targets.shape)} and values from {targets.min():g} to "
            f"{targets.max():g}. One class to a sample is data.task=multiclass, one label binary."
        )
    if not (labels == 0).any():
        raise ConfigError(
            "data.task=multilabel: no label of the training set is 0. A label that a sample lacks is 0; -1 is one that "
            "is not known."
        )
    return int(targets.shape[1])


def _optional(module: pl.LightningDataModule, hook: str) -> Any:
    overridden = getattr(type(module), hook) is not getattr(pl.LightningDataModule, hook)
    return getattr(module, hook)() if overridden else None
