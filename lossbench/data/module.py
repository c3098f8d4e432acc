"""The data of a run, in memory: loaded, corrupted, split and described once, then served in batches."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from lossbench.data.center import center_and_scale
from lossbench.data.corruptions import stratified_subset
from lossbench.data.disjoint import apart, is_closed, renumbered, split_classes
from lossbench.data.files import data_root
from lossbench.data.label_density import BINS, bin_counts, inner_edges
from lossbench.data.loader import Batch, BatchLoader
from lossbench.data.sampling import uniform
from lossbench.data.shapes import axis_of, declared_sources, require_parts, tasks_of
from lossbench.data.sources.source import FIXED, Source, load_source
from lossbench.data.target_parts import described, facts_of_parts, standardised
from lossbench.data.training_set import TrainingSet, counts_by_class, strata, training_set, validation_split
from lossbench.errors import ConfigError
from lossbench.losses.bound_loss import context_names
from lossbench.ranges import takes
from lossbench.seeding import numpy_stream
from lossbench.tasks import task_named
from lossbench.tasks.classification.confusion import confusion_matrix
from lossbench.tasks.problem import TargetDensity

NONE: Mapping[str, Any] = {"kind": "none"}


@takes(
    source="text",
    task="text",
    imbalance="dict",
    noise="dict",
    contamination="dict",
    max_train="int [1, inf) or null",
    max_test="int [1, inf) or null",
    val_fraction="number [0, 1)",
    batch_size="int [1, inf)",
    eval_batch_size="int [1, inf)",
    augment="bool",
    views="int [1, 2]",
    disjoint="bool",
    standardize="one of: none, robust",
    sampler="text or dict",
    root="text or null",
    seed="int [0, inf)",
    run_seed="int [0, inf)",
)
class DataModule(pl.LightningDataModule):
    """A source and its corruptions as training, validation and test loaders.

    Training and validation part are corrupted alike; the test part never is. Which samples are chosen and how they are
    corrupted depends on `seed`; the validation split, the batch order and the augmentation on `run_seed`.

    Parameters
    ----------
    source : str
        A name of `lossbench.data.shapes.declared_sources`.
    task : str
        The name of a task that the source serves (`lossbench.data.shapes.tasks_of`).
    imbalance : mapping
        kind (none, exp, step), factor, max_count; see `corruptions.imbalanced_counts`. Without max_count the head gets
        the size of the smallest class. Kind none with a max_count: so many of each class. For regression label_density
        with factor, bins, max_count; see `label_density.skewed_subset`.
    noise : mapping
        kind (none, symmetric, asymmetric, pair, instance), rate, family; see `label_noise.noisy_labels`.
    contamination : mapping
        kind and the parameters of `corruptions.contaminate`, for regression.
    max_train, max_test : int, optional
        Keep at most so many samples, in the proportions of the classes. The test samples kept are the same under
        every seed.
    val_fraction : float
        Part of each observed class that is held out for validation, in [0, 1).
    batch_size, eval_batch_size : int
        Samples per batch in training, and in evaluation.
    augment : bool
        Random crops and flips in training, for 32x32 RGB images.
    views : int
        2: in training each image comes twice, each time turned, shifted and so on otherwise (`augmentation.TwoViews`);
        `batch_size` counts the images.
    disjoint : bool
        No class is in two parts; see `disjoint.apart`. Of the classes that are trained on, validation gets
        max(2, round(val_fraction * K)) whole ones, which `run_seed` draws.
    standardize : str
        What a target of regression is trained as: "robust", see `center_and_scale`, or "none", as it is.
    sampler : callable
        Draws the training samples of an epoch, such as `sampling.uniform`, or for classes `sampling.by_class`.
    root : str, optional
        Folder of the data files; see `files.data_root`.
    seed : int
        Seed of generated data, subsets and corruptions.
    run_seed : int
        Seed of split, order and augmentation.
    **options
        What else the source takes, by name.

    Attributes
    ----------
    num_classes : int or None
        Of labels, where a sample may have several. None where there are none. Of disjoint classes those trained on,
        which have the first numbers; after them come those of validation, then those of the test part.
    input_shape : list of int
        Shape of one input.
    num_train : int
        Training samples in the source: every `Batch.index` in training and validation is below it.
    train_size : int
        Training samples that are trained on.
    class_counts, train_class_counts, val_class_counts : list of int or None
        Observed samples of each class, or with each label: before the validation split, in training, in validation.
        None for regression. Of disjoint classes only those trained on are counted, and there is no count of validation.
    target_center, target_scale : float
        Regression targets in batches are (target - center) / scale: median and 1.4826 times the median absolute
        deviation of the observed training targets. 0 and 1 for classes and counts, and without standardisation.
    contaminated : Tensor
        Positions in the source's training part of the samples whose target or inputs are not the clean ones, int64.
    target_density : TargetDensity or None
        For regression, how many training samples there are at which target.
    modes : Modes or None
        Of points to be generated.
    shared : mapping
        What belongs to no single sample; see `Source`.
    parts : mapping of str to Part
        Of several tasks of one network what is known of each; their targets stand beside one another in `target`.
    noise_kind : str
        The kind of the label noise.
    evaluation_loaders : dict of str to BatchLoader
        "val" (if there is one), "test", and under label noise "train": what is evaluated, in this order.
    hashes : dict of str to str
        SHA-256 of what must be equal in paired runs: "targets" (chosen samples and their observed targets), "split",
        "order" (of the first epoch).

    """

    in_memory = True
    """What is in memory is built whole, and can be stacked."""

    def __init__(
        self,
        source: str,
        task: str,
        imbalance: Mapping[str, Any] = NONE,
        noise: Mapping[str, Any] = NONE,
        contamination: Mapping[str, Any] = NONE,
        max_train: int | None = None,
        max_test: int | None = None,
        val_fraction: float = 0.1,
        batch_size: int = 128,
        eval_batch_size: int = 250,
        augment: bool = False,
        views: int = 1,
        disjoint: bool = False,
        standardize: str = "robust",
        sampler: Callable[..., Tensor] = uniform,
        root: str | None = None,
        seed: int = 0,
        run_seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__()
        self.source = source
        self.options = {name: tuple(each) if isinstance(each, list) else each for name, each in options.items()}
        self.task = task_named(task)
        self.imbalance, self.noise, self.contamination = imbalance, noise, contamination
        self.noise_kind: str = noise["kind"]
        self.max_train, self.max_test = max_train, max_test
        self.val_fraction = val_fraction
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.augment, self.views = augment, views
        self.disjoint = disjoint
        self.standardize = standardize
        self.sampler = sampler
        self.root = root
        self.seed, self.run_seed = seed, run_seed
        self.evaluation_loaders: dict[str, BatchLoader] = {}

    def setup(self, stage: str | None = None) -> None:
        """Load, corrupt and split the data; a second call does nothing.

        Raises
        ------
        ConfigError
            If task, source and corruptions don't fit each other, or the data files are missing.

        """
        if self.evaluation_loaders:
            return
        declared = declared_sources().get(self.source)
        read_as = {"task": self.task.name} if declared is not None and declared.by_task else {}
        source = load_source(self.source, data_root(self.root), self.seed, **self.options, **read_as)
        source = source.seen_as(self.task.name)
        self._check(source)
        source = apart(source) if self.disjoint else source
        training = training_set(
            self.source, source, self.imbalance, self.noise, self.contamination, self.max_train, self.seed
        )
        chosen = training.samples
        source, training, train, val = self._split(source, training)
        self._describe(source, training, train, val)
        self._make_loaders(source, training, train, val)
        self.hashes = {
            "targets": _hash(chosen.index, chosen.target),
            "split": _hash(chosen.index[train], chosen.index[val]),
            "order": _hash(self._train_loader.order()),
        }

    def train_dataloader(self) -> BatchLoader:
        """Return the training batches."""
        return self._train_loader

    def val_dataloader(self) -> list[BatchLoader]:
        """Return the loaders of `evaluation_loaders`, in their order."""
        return list(self.evaluation_loaders.values())

    def test_dataloader(self) -> BatchLoader:
        """Return the test batches."""
        return self.evaluation_loaders["test"]

    def facts(self) -> dict[str, Any]:
        """Return what the data came out as, for the record: JSON-able."""
        facts: dict[str, Any] = {
            "source": self.source,
            "task": self.task.name,
            "seed": self.seed,
            "sizes": self._sizes,
            "class_counts": self.class_counts,
            "train_class_counts": self.train_class_counts,
            "val_class_counts": self.val_class_counts,
            "class_names": list(self.class_names),
            "target_center": self.target_center,
            "target_scale": self.target_scale,
            "imbalance": dict(self.imbalance),
            "noise": dict(self.noise),
            "contamination": dict(self.contamination),
        }
        if texts := {name: text for name, text in self.shared.items() if isinstance(text, str)}:
            facts["shared"] = texts  # such as the version of what is read
        facts |= {name: dict(said) for name, said in self.shared.items() if isinstance(said, Mapping)}  # of own tables
        if self.parts:
            facts["parts"] = facts_of_parts(self.parts)
        if self.target_density is not None and self.target_density.skewed:
            facts["imbalance"] |= {
                "bin_edges": self.target_density.edges.tolist(),
                "bin_counts": self._bin_counts.tolist(),
                "train_bin_counts": self.target_density.counts.tolist(),
            }
        if self.disjoint:
            facts["classes"] = self._classes_of_parts
        if self._confusion is not None:
            flipped = int(self._confusion.sum() - self._confusion.trace())
            facts["noise"] |= {
                "flipped": flipped,
                "realised_rate": flipped / int(self._confusion.sum()),
                "confusion": self._confusion.tolist(),
            }
        if self.contamination["kind"] != "none":
            count = len(self.contaminated)
            total = self._sizes["train"] + self._sizes["val"]
            facts["contamination"] |= {"contaminated": count, "realised_fraction": count / total}
        return facts

    def _check(self, source: Source) -> None:
        if self.task.name not in tasks_of(self.source):
            raise ConfigError(f"data.task={self.task.name}, but data.source={self.source} is {source.task}.")
        require_parts(self.task, self.source, disjoint=self.disjoint, views=self.views, augment=self.augment)
        if self.task.has_classes and not self.disjoint and not is_closed(source):
            raise ConfigError(
                f"data.disjoint=false, but data.source={self.source} tests classes that are not in its training part. "
                + ("Use data.disjoint=true." if "disjoint" in self.task.axes else "Add training samples of them.")
            )
        for name in ("imbalance", "noise", "contamination"):
            kind = getattr(self, name)["kind"]
            if kind != "none" and axis_of(name, kind) not in self.task.axes:
                raise ConfigError(f"data.{name}.kind={kind} does not apply to {self.task.name} data; allowed: none.")
        if "classes" in context_names(self.sampler) and "sampler" not in self.task.axes:
            raise ConfigError(f"sampler: it draws by class, but {self.task.name} data have none. Use uniform.")
        if self.task.target == "labels" and self.imbalance.get("max_count") is not None:
            raise ConfigError("data.imbalance.max_count is for classes, of which a sample has one. Use data.max_train.")

    def _split(self, source: Source, training: TrainingSet) -> tuple[Source, TrainingSet, Tensor, Tensor]:
        """Return the rows of training and validation; of disjoint classes all with the numbers that parts give them."""
        stream, samples = numpy_stream(self.run_seed, "split"), training.samples
        if not self.disjoint:
            group = samples.extras.get("group")
            parts = validation_split(samples.target, source.target, self.val_fraction, stream, group)
            return source, training, *parts
        known, names = int(source.train_target.max()) + 1, source.class_names
        held = split_classes(samples.target, known, self.val_fraction, stream)
        self._classes_of_parts = {
            "train": held.trained, "val": known - held.trained, "test": len(names) - known
        }  # fmt: skip
        source = replace(source, class_names=tuple(names[number] for number in held.order.tolist()) + names[known:])
        return source, replace(training, samples=renumbered(samples, held.order)), held.train, held.val

    def _describe(self, source: Source, training: TrainingSet, train: Tensor, val: Tensor) -> None:
        samples = training.samples
        self.num_classes, self.class_names = source.num_classes, source.class_names
        if self.disjoint:
            self.num_classes = self._classes_of_parts["train"]
        self.input_shape = list(samples.inputs.shape[1:])
        self.num_train, self.train_size = len(source.train_target), len(train)
        self.modes, self.shared = source.modes, source.shared
        self.parts = described(self.task.parts, source.shared.get("parts", {}), samples.target[train], self.standardize)
        self.contaminated = samples.index[training.contaminated]
        self._confusion = None
        self.target_density: TargetDensity | None = None
        if self.num_classes is None:
            self.class_counts = self.train_class_counts = self.val_class_counts = None
            standardize = self.standardize if self.task.target in ("number", "sample") else "none"
            self.target_center, self.target_scale = center_and_scale(samples.target[train], standardize)
            if samples.target.ndim == 1:
                self._describe_density(source, samples.target, train)
            return
        self.class_counts, self.train_class_counts, self.val_class_counts = (
            counts_by_class(target, self.num_classes, source.target)
            for target in (samples.target, samples.target[train], samples.target[val])
        )
        if self.disjoint:
            self.val_class_counts = None
        self.target_center, self.target_scale = 0.0, 1.0
        if self.noise_kind != "none":
            observed, clean = (each.flatten().numpy() for each in (samples.target, samples.target_clean))
            known = clean < self.num_classes  # 255 is a pixel that is left out
            self._confusion = confusion_matrix(observed[known], clean[known], self.num_classes)

    def _describe_density(self, source: Source, target: Tensor, train: Tensor) -> None:
        edges = inner_edges(source.train_target, self.imbalance.get("bins", BINS))
        self._bin_counts = bin_counts(target, edges)
        counts, skewed = bin_counts(target[train], edges), self.imbalance["kind"] != "none"
        self.target_density = TargetDensity(edges, counts, skewed)

    def _make_loaders(self, source: Source, training: TrainingSet, train: Tensor, val: Tensor) -> None:
        test = _test_samples(source, self.max_test)
        self._sizes = {"train": len(train), "val": len(val), "test": len(test.index)}
        parts = {"val": training.samples.select(val), "test": test, "train": training.samples.select(train)}
        parts = {name: self._standardised(samples) for name, samples in parts.items()}
        # What is generated is compared with the data as they are: images in 0..1, points in their own units.
        mean, std = source.mean, source.std
        if self.task.target == "sample":
            mean, std = torch.zeros_like(mean), torch.ones_like(std)
        self._train_loader = BatchLoader(
            parts["train"],
            self.batch_size,
            mean,
            std,
            seed=self.run_seed,
            augment=self.augment,
            views=self.views,
            sampling=self.sampler,
        )
        noisy = self.noise_kind != "none" and self.task.has_classes
        evaluated = [*(["val"] if len(val) else []), "test", *(["train"] if noisy else [])]
        self.evaluation_loaders = {
            name: BatchLoader(parts[name], self.eval_batch_size, mean, std) for name in evaluated
        }

    def _standardised(self, samples: Batch) -> Batch:
        if self.parts:
            return standardised(samples, self.parts)
        if self.num_classes is not None or not samples.target.is_floating_point():
            return samples
        target, clean = ((y - self.target_center) / self.target_scale for y in (samples.target, samples.target_clean))
        return samples._replace(target=target, target_clean=clean)


def _test_samples(source: Source, max_test: int | None) -> Batch:
    index = torch.arange(len(source.test_target))
    if max_test is not None:
        chosen = stratified_subset(strata(source.test_target, source.target), max_test, numpy_stream(FIXED, "max_test"))
        index = torch.from_numpy(chosen)
    clean = source.test_target if source.test_target_clean is None else source.test_target_clean
    every = torch.arange(len(clean))
    return Batch(source.test_inputs, source.test_target, clean, every, source.test_extras).select(index)


def _hash(*tensors: Tensor) -> str:
    return hashlib.sha256(b"".join(tensor.contiguous().numpy().tobytes() for tensor in tensors)).hexdigest()
