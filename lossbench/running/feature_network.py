"""A classifier of our own, in whose features generated images are compared with real ones.

The usual network, Inception, comes from the internet and was made for photographs. Here a small classifier of the same
data gives the features. It is trained once, by lossbench itself, and kept in the user's cache folder; its key is the
hash of all that decides its weights, so that all runs of one installation measure with the same features. Distances in
other features, FID and KID too, are other numbers.
"""

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor, nn

from lossbench import __version__
from lossbench.catalogue.terms import asks_for
from lossbench.config.cell import Cell
from lossbench.data.files import cache_folder, data_root
from lossbench.data.shapes import SMALLEST_IMAGE, data_for, declared_sources
from lossbench.data.sources.source import load_source
from lossbench.errors import ConfigError
from lossbench.locate import CONF
from lossbench.records.checkpoints import read_checkpoint, write_checkpoint
from lossbench.tasks.generation.image_metrics import ImageMetrics

log = logging.getLogger(__name__)
SEEN_BY_LENET = ["model=lenet", "trainer.max_epochs=3"]
SEEN_BY_PERCEPTRON = ["model=mlp", "model.hidden=[64,32]", "trainer.max_epochs=30"]
SEEN_BY_CONVNET = ["model=convnet", "trainer.max_epochs=10"]
ALONE = ["data.val_fraction=0", "trainer.accelerator=cpu", "trainer.limit_val_batches=0", "tracking=none"]


class Features(nn.Module):
    """A backbone that sees images in 0..1 as it did in its training, standardised, and the head that classifies."""

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: nn.Module, head: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.backbone: Any = backbone
        self.head = head
        self.register_buffer("mean", mean.view(-1, 1, 1))
        self.register_buffer("std", std.view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) in 0..1 to features (N, D)."""
        features: Tensor = self.backbone((images - self.mean) / self.std)
        return features

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return the maps of features of images (N, C, H, W) in 0..1, after each convolution, in single precision."""
        self.to(images.device)
        with torch.autocast(images.device.type, enabled=False):
            maps: list[Tensor] = self.backbone.maps((images.to(self.mean) - self.mean) / self.std)
        return maps


def features_of(cell: Cell, data: Any) -> dict[str, Any]:
    """Return what `build_learner` is told of images: what measures them, and what a loss sees of them.

    Raises
    ------
    ConfigError
        If a loss asks for the features of images of which lossbench can't train a classifier.

    """
    found: dict[str, Any] = {"image_metrics": image_metrics_of(data)}
    if not asks_for("feature_maps", cell.resolved["loss"]) or data.task.target != "sample":
        return found
    if found["image_metrics"] is None:
        raise ConfigError(
            f"loss={cell.loss} compares features of a classifier, which lossbench trains only on images that it "
            f"brings, not on data={cell.data}. Use data={' or '.join(data_for(data.task))}."
        )
    return {**found, "feature_maps": classifier_features(data.source, data.root, convolutional=True).maps}


def image_metrics_of(data: Any) -> ImageMetrics | None:
    """Return what measures samples of a data module; None where the source has no images that lossbench can classify.

    Parameters
    ----------
    data : DataModule
        Loaded, for generation.

    """
    source = getattr(data, "source", None) if data.task.target == "sample" else None
    if source not in declared_sources() or len(declared_sources()[source].shape) != 3:
        return None
    features = classifier_features(str(source), data.root)
    return ImageMetrics(features, features.head, data.evaluation_loaders)


def classifier_features(source: str, root: str | None, convolutional: bool = False) -> Features:
    """Load the features of a classifier of a source's images, in 0..1; train it if that was never done.

    Parameters
    ----------
    source : str
        A name of `lossbench.data.shapes.declared_sources`, one of images.
    root : str, optional
        Folder of the data files; see `files.data_root`.
    convolutional : bool
        Whether it must have `maps`. Where images are too small for LeNet it is another network then.

    """
    from lossbench.config.cell import without
    from lossbench.records.provenance import digest
    from lossbench.running.build import build, random_state

    cell = _classifier_cell(source, root, convolutional)
    versions = {"version": __version__, "torch": torch.__version__.partition("+")[0]}
    key = digest({"cell": cell.key, "parts": ["backbone", "head"], **versions})[:16]
    path = cache_folder() / "features" / f"{source}-{key}.pt"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                log.info("%s: a classifier is trained, once, in whose features images are compared", source)
                write_checkpoint(path, _train(cell, path.parent).state_dict())
    shape = declared_sources()[source].shape
    state = read_checkpoint(path)
    with random_state(0):  # the weights are replaced, but not without a draw
        backbone: nn.Module = build(without(cell.config.model, "head", "head_scale"))(input_shape=shape)
        head = nn.Linear(*state["head.weight"].T.shape)
    features = Features(backbone, head, torch.zeros(shape[0]), torch.ones(shape[0]))
    features.load_state_dict(state)
    return features.eval().requires_grad_(False)


def _classifier_cell(source: str, root: str | None, convolutional: bool) -> "Cell":
    """Compose the run that trains the classifier: LeNet, or a smaller network where the images are too small for it."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from lossbench.config.cell import cell_of

    small = min(declared_sources()[source].shape[1:]) < SMALLEST_IMAGE["LeNet"]
    smaller = SEEN_BY_CONVNET if convolutional else SEEN_BY_PERCEPTRON
    model = smaller if small else SEEN_BY_LENET
    lines = [f"data={source}", "loss=cross_entropy", "optimizer=adam", "scheduler=constant", *model, *ALONE]
    if root is not None:
        lines.append(f"data.root={root}")
    in_a_job = GlobalHydra.instance().is_initialized()  # Hydra's own launcher runs it, which knows the folder already
    with nullcontext() if in_a_job else initialize_config_dir(str(CONF), version_base="1.3"):
        return cell_of(compose("config", lines, return_hydra_config=True))


def _train(cell: "Cell", folder: Path) -> nn.Module:
    """Train the classifier on one thread, so that its numbers do not depend on how many there are."""
    from pytorch_lightning.callbacks import ModelCheckpoint

    from lossbench.running.assemble import build_learner
    from lossbench.running.build import build_data, build_trainer, random_state
    from lossbench.running.trainer import quiet

    quiet()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with random_state(0):
            data = build_data(cell.config.data)
            learner = build_learner(cell, data)
            trainer = build_trainer(cell.config.trainer, [ModelCheckpoint(save_top_k=0)], folder)
            trainer.fit(learner, datamodule=data)
    finally:
        torch.set_num_threads(threads)
    source = load_source(data.source, data_root(data.root), data.seed)
    return Features(learner.network.backbone, learner.network.head, source.mean, source.std)
