"""A user's own LightningDataModule, seen through the interface of lossbench's."""

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from lossbench.data.center import center_and_scale
from lossbench.data.loader import Batch
from lossbench.data.shapes import data_for
from lossbench.data.training_set import counts_by_class
from lossbench.errors import ConfigError, first_line
from lossbench.locate import locate
from lossbench.ranges import takes
from lossbench.tasks import task_named
from lossbench.tasks.task import Task

MOST_BYTES = 2 * 10**9
"""Of a part that is read into memory whole."""
NOT_IN_PAIRS = {"sequence": "the alignment of each line", "boxes": "the boxes of each image"}
"""By target what a task needs that pairs (inputs, target) lack."""


class ForeignDataModule(pl.LightningDataModule):
    """Wrap a LightningDataModule whose loaders give pairs (inputs, target), or dicts with these names.

    A third part of a batch, or `weight` of a dict, are the weights of its samples in training; what else a dict has is
    given to losses that ask for it by name.

    Its training, validation (optional) and test loaders are used as they are; its batch order is its own affair. All
    data are read once before training: to count the classes, or to find the centre and scale of a regression target,
    of the training set as it is, however its loader draws from it; and to find what can't be meant. Its attributes
    `num_classes` and `class_names` are used where it has them.

    Parameters
    ----------
    module : LightningDataModule
        The user's.
    task : Task
        What is predicted.
    standardize : str
        What a target of regression is trained as; see `center.center_and_scale`.

    Attributes
    ----------
    sizes : dict of str to int
        The samples of each part.
    hashes : dict of str to str
        SHA-256 of what must be equal in paired runs: "targets" of the training set, of a stream in no order; and, from
        training on, "order": which samples came in the first epoch, of a stream their targets.

    """

    def __init__(self, module: pl.LightningDataModule, task: Task, standardize: str = "robust") -> None:
        super().__init__()
        if task.target in NOT_IN_PAIRS:
            raise ConfigError(
                f"data.task={task.name} needs {NOT_IN_PAIRS[task.target]}, which data={type(module).__name__} "
                f"can't give: its loaders give pairs (inputs, target). Use {' or '.join(data_for(task))}."
            )
        module.prepare_data()
        module.setup("fit")
        module.setup("test")
        self.task = task
        self.name = type(module).__name__
        self._train = module.train_dataloader()
        inputs, targets, weights = _read(self._train, "training", task)
        _check_weights(weights, task)
        self.input_shape = list(inputs.shape[1:])
        self.num_train = self.train_size = len(targets)
        self.class_names = [str(name) for name in getattr(module, "class_names", ())]
        self.num_classes: int | None = None
        self.train_class_counts: list[int] | None = None
        self.target_center, self.target_scale = 0.0, 1.0
        if task.target == "number":
            self.target_center, self.target_scale = center_and_scale(targets, standardize)
        elif task.target == "labels":
            self.num_classes = _number_of_labels(targets)
            self.train_class_counts = counts_by_class(_with_unknown(targets), self.num_classes, task.target)
        elif task.target != "count":
            require_labels(targets, "the training set", task)
            self.num_classes = int(getattr(module, "num_classes", task.classes or int(targets.max()) + 1))
            self.train_class_counts = counts_by_class(targets.long(), self.num_classes, task.target)
        loaders = {"val": _optional(module, "val_dataloader"), "test": _optional(module, "test_dataloader")}
        self.sizes = {"train": len(targets)}
        for name, loader in loaders.items():
            if loader is not None:
                found = _read(loader, name, task)[1]
                require_labels(found, f"the {name} set", task, self.num_classes)
                self.sizes[name] = len(found)
        self.evaluation_loaders = {name: self._wrap(loader) for name, loader in loaders.items() if loader is not None}
        if "test" not in self.evaluation_loaders:
            raise ConfigError(
                f"data._target_={self.name}: it has no test_dataloader; losses are compared on a test set."
            )
        in_order = targets if _has_numbers(self._train) else targets.flatten().sort().values
        self.hashes = {"targets": hashlib.sha256(_bytes_of(in_order)).hexdigest()}
        self.modes = None
        self.shared: Mapping[str, Any] = {}
        self.contaminated = torch.empty(0, dtype=torch.int64)

    def train_dataloader(self) -> "_Batches":
        """Return the training loader."""
        return self._wrap(self._train, self._hash_of_order)

    def val_dataloader(self) -> list["_Batches"]:
        """Return the loaders that are evaluated after each epoch."""
        return list(self.evaluation_loaders.values())

    def samples(self, name: str) -> Batch:
        """Return a whole part, "train", "val" or "test", for a look at it: the first as no sampler draws from it.

        Raises
        ------
        ConfigError
            If its inputs would take more than `MOST_BYTES` of memory.

        """
        loader = self._wrap(_in_order(self._train)) if name == "train" else self.evaluation_loaders[name]
        batches: list[Batch] = []
        for batch in loader:
            batches.append(batch._replace(extras={}))
            if len(batches) * batches[0].inputs.nbytes > MOST_BYTES:
                raise ConfigError(
                    f"data._target_={self.name}: its {name} set has more than {MOST_BYTES / 1e9:g} GB of inputs, which "
                    "are read into memory for a look at them. Give an option to it that makes it smaller."
                )
        inputs, target, clean, index = map(torch.cat, zip(*(batch[:4] for batch in batches), strict=True))
        return Batch(inputs, target, clean, index)

    def facts(self) -> dict[str, Any]:
        """Return what the record says of the data."""
        counts = {"class_counts": self.train_class_counts, "train_class_counts": self.train_class_counts}
        scale = {"target_center": self.target_center, "target_scale": self.target_scale}
        return {"source": self.name, "train": self.num_train, **counts, "class_names": self.class_names, **scale}

    def _hash_of_order(self) -> Callable[[Tensor], None] | None:
        """Return what takes in each batch of the first epoch of training; None where it is another one, or a look."""
        if self.trainer is None or not self.trainer.training or self.trainer.current_epoch > 0:
            return None
        found = hashlib.sha256()

        def take(samples: Tensor) -> None:
            found.update(_bytes_of(samples))
            self.hashes["order"] = found.hexdigest()

        return take

    def _wrap(self, loader: Any, follow: Callable[[], Callable[[Tensor], None] | None] = lambda: None) -> "_Batches":
        scale = (self.target_center, self.target_scale)
        return _Batches(_indexed(loader), *scale, self.num_classes is not None, self.task, follow)


class _Batches:
    """The batches of a loader as `Batch`es, regression targets standardised, classes and labels as integers."""

    def __init__(
        self,
        loader: Any,
        center: float,
        scale: float,
        classes: bool,
        task: Task,
        follow: Callable[[], Callable[[Tensor], None] | None],
    ) -> None:
        self.loader, self.center, self.scale, self.classes, self.task = loader, center, scale, classes, task
        self.follow = follow

    batch_sampler = None  # Lightning asks every loader that has a sampler for it

    @property
    def sampler(self) -> Any:
        """The loader's own, whose `set_epoch` Lightning calls."""
        return getattr(self.loader, "sampler", None)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        start, take = 0, self.follow()
        for given in self.loader:
            batch, index = given if isinstance(given, _Numbered) else (given, None)
            inputs, target, extras = _as_tensors(batch, self.task)
            if take is not None:
                take(target if index is None else index)
            if index is None:  # of data that come as a stream, by their place in it
                index = torch.arange(start, start + len(target))
                start += len(target)
            scaled = _with_unknown(target) if self.classes else (target - self.center) / self.scale
            yield Batch(inputs, scaled, scaled, index, extras)


@takes(task="text", standardize="one of: none, robust")
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
    return ForeignDataModule(module, task_named(str(node.task)), node.get("standardize", "robust"))


class _Numbered(NamedTuple):
    """A batch, and the places of its samples in the data set: the same sample has the same number in each epoch."""

    batch: Any
    places: Tensor


class _NumberedDataset(Dataset):
    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> tuple[int, Any]:
        return index, self.dataset[index]


class _Collate:
    """The user's way to make a batch of samples, and their numbers."""

    def __init__(self, collate: Any) -> None:
        self.collate = collate

    def __call__(self, numbered: Sequence[tuple[int, Any]]) -> _Numbered:
        index = torch.tensor([number for number, _ in numbered])
        return _Numbered(self.collate([sample for _, sample in numbered]), index)


def _indexed(loader: Any) -> Any:
    """Return a loader that gives the same batches with the numbers of their samples; a stream has none."""
    if not _has_numbers(loader):
        return loader
    kept = ("num_workers", "pin_memory", "timeout", "worker_init_fn", "multiprocessing_context", "generator")
    settings = {name: getattr(loader, name) for name in (*kept, "prefetch_factor", "persistent_workers")}
    collate = _Collate(loader.collate_fn)
    made: Any = DataLoader(
        _NumberedDataset(loader.dataset), batch_sampler=loader.batch_sampler, collate_fn=collate, **settings
    )
    return made


def _has_numbers(loader: Any) -> bool:
    known = isinstance(loader, DataLoader) and loader.batch_sampler is not None
    return known and not isinstance(loader.dataset, IterableDataset)


def _in_order(loader: Any) -> Any:
    """Return a loader of the data themselves, not of what a sampler draws of them, where it isn't a stream."""
    if not _has_numbers(loader):
        return loader
    return DataLoader(loader.dataset, batch_size=loader.batch_size or 256, collate_fn=loader.collate_fn)


def _read(loader: Any, part: str, task: Task) -> tuple[Tensor, Tensor, Tensor | None]:
    """Read a whole part; return the first inputs, all targets, and the weights if there are some."""
    loader = _in_order(loader)
    first: Tensor | None = None
    targets, weights, start = [], [], 0
    for batch in loader:
        inputs, target, extras = _as_tensors(batch, task)
        weights += [extras["weight"]] if "weight" in extras else []
        if not inputs.isfinite().all():
            row, *place = (~inputs.isfinite()).nonzero()[0].tolist()
            raise ConfigError(
                f"the inputs of the {part} set are not all numbers: sample {start + row}, feature {place} is "
                f"{float(inputs[(row, *place)])}. Fill the gaps or leave such samples out."
            )
        start += len(target)
        first = inputs if first is None else first
        targets.append(target)
    if first is None:
        raise ConfigError(f"the loader of the {part} set gives no batch.")
    together = torch.cat(targets)
    if task.target != "labels" and not together.isfinite().all():
        row = int((~together.isfinite()).nonzero()[0, 0])
        raise ConfigError(f"the target of sample {row} of the {part} set is {together[row].tolist()}: no number.")
    return first, together, torch.cat(weights) if weights else None


def _bytes_of(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().numpy().tobytes()


def _check_weights(weights: Tensor | None, task: Task) -> None:
    if weights is None:
        return
    if task.learner != "supervised":
        raise ConfigError(f"data.task={task.name}: learner={task.learner} takes no weights of samples. Leave them out.")
    if not ((weights >= 0) & weights.isfinite()).all() or not weights.any():
        raise ConfigError(
            f"the weights of the training set go from {weights.min():g} to {weights.max():g}: they must be finite "
            "numbers from 0, not all of them 0."
        )


def _as_tensors(batch: Any, task: Task) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Return inputs in torch's default precision, targets, and what else a batch has, by name.

    A column of one target to a sample is taken as one number to a sample.
    """
    try:
        named = {name: torch.as_tensor(each) for name, each in _named(batch).items()}
    except (TypeError, ValueError) as error:
        raise ConfigError(f"inputs and targets must be tensors or arrays of numbers: {first_line(error)}") from error
    inputs, target = named.pop("inputs"), named.pop("target")
    if inputs.dtype != torch.get_default_dtype():
        inputs = inputs.to(torch.get_default_dtype())
    if task.target != "labels" and target.ndim == 2 and target.shape[1] == 1:
        target = target.squeeze(1)
    if (weight := named.get("weight")) is not None:
        named["weight"] = weight.to(torch.get_default_dtype()).reshape(-1)
    for name, each in named.items():
        if len(each) != len(target):
            raise ConfigError(f"{name} of a batch has {len(each)} samples, but its target {len(target)}.")
    return inputs, target, named


def _named(batch: Any) -> dict[str, Any]:
    """Return the parts of a batch by name."""
    if isinstance(batch, Mapping) and {"inputs", "target"} <= batch.keys():
        return dict(batch)
    if isinstance(batch, list | tuple) and len(batch) in (2, 3):
        return dict(zip(("inputs", "target", "weight"), batch, strict=False))
    shown = f"a {type(batch).__name__}" + (f" of {len(batch)}" if isinstance(batch, list | tuple) else "")
    shown += f" of {', '.join(map(str, batch))}" if isinstance(batch, Mapping) else ""
    raise ConfigError(
        "the loaders of a LightningDataModule must give pairs (inputs, target), triples (inputs, target, weight), or "
        f"dicts with `inputs` and `target`, not {shown}."
    )


def require_labels(targets: Tensor, where: str, task: Task, num_classes: int | None = None) -> None:
    """Raise a `ConfigError` unless targets of a task of classes are classes counted from 0."""
    if not task.has_classes:
        return
    if targets.ndim != 1:
        raise ConfigError(
            f"{where} has targets of shape {tuple(targets.shape)}, but data.task={task.name} needs one class to a "
            "sample, (N,). One-hot rows become classes by target.argmax(1); several labels are data.task=multilabel."
        )
    found = targets.unique()
    most = task.classes or num_classes or len(found)
    if not torch.equal(found, found.long().to(found.dtype)) or found.min() < 0 or found.max() >= max(most, 1):
        if where == "the training set" and task.classes is None and found.min() == 0:
            return  # classes that no training sample has are counted as such
        shown = ", ".join(f"{value:g}" for value in found[:12].tolist())
        raise ConfigError(
            f"{where} has the classes {shown}, but data.task={task.name} counts them 0, 1, ... K - 1"
            + (f" with K = {most}" if num_classes or task.classes else "")
            + ". Number them so, for example by torch.unique(target, return_inverse=True)."
        )


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
