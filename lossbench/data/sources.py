"""Sources: the clean data sets, whole and in memory, with a training and a test part.

The test part is always the same: where a source has no official one, it is drawn by a stream that no seed changes.
"""

from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbench.data.corruptions import Array, choose_per_class, stratified_subset
from lossbench.data.files import FILES, ensure_files
from lossbench.data.lines import lines_of
from lossbench.data.points import POINTS, Modes
from lossbench.errors import ConfigError, nearest
from lossbench.streams import numpy_stream

FIXED = 0
"""The seed of draws that are the same under every seed of the user."""


@dataclass(frozen=True)
class Source:
    """A clean data set.

    Parameters
    ----------
    task : str
        "multiclass", "binary", "multilabel", "regression", "count", "sequence" or "generation".
    train_inputs, test_inputs : Tensor
        Images (N, C, H, W), uint8 in 0..255 or float32, or table rows (N, F), float32.
    train_target, test_target : Tensor, shape (N,)
        Classes as int64 (binary: 0 and 1), or float32: numbers, counts, or the mode of points to be generated. For
        several labels 0 and 1 as int64, shape (N, L). Of sequences the classes in their order, then -1, shape (N, S).
    mean, std : Tensor
        Of the training inputs, per channel or feature, float32; uint8 images count as 0..1.
    class_names : tuple of str
        K names, of classes or labels; empty where there are none.
    train_target_clean, test_target_clean : Tensor, optional
        The noise-free targets (of counts: their expectation), where the source knows them; else they are the targets.
        Of sequences the class that is seen in each column, shape (N, W): see `lines.lines_of`.
    modes : Modes, optional
        Of points to be generated.

    """

    task: str
    train_inputs: Tensor
    train_target: Tensor
    test_inputs: Tensor
    test_target: Tensor
    mean: Tensor
    std: Tensor
    class_names: tuple[str, ...] = ()
    train_target_clean: Tensor | None = None
    test_target_clean: Tensor | None = None
    modes: Modes | None = None

    @property
    def num_classes(self) -> int | None:
        """The number of classes or labels; None where there are none."""
        return len(self.class_names) or None


@lru_cache(maxsize=2)
def load_source(name: str, root: Path, seed: int) -> Source:
    """Load a source by name.

    Parameters
    ----------
    name : str
        One of `SOURCES`.
    root : Path
        The folder with the files of torchvision's data sets; embedded sources don't look at it.
    seed : int
        For data that are generated.

    Raises
    ------
    ConfigError
        If there is no such source.
    DataError
        If its files are missing or damaged.

    """
    if name not in SOURCES:
        raise ConfigError(f"data.source={name}: there is no such source. {nearest(name, SOURCES)}")
    ensure_files(name, root)
    source: Source = SOURCES[name](root, seed)
    return source


def digits(root: Path, seed: int) -> Source:
    """8x8 grey images of ten digits (scikit-learn): 1297 to train, 50 of each class fixed to test."""
    from sklearn.datasets import load_digits

    data = load_digits()
    inputs = (data.images[:, None] / 16.0).astype(np.float32)
    test = choose_per_class(data.target, [50] * 10, numpy_stream(FIXED, "digits", "test"))
    return _split(inputs, data.target, test, axes=(0, 2, 3), task="multiclass", names=map(str, data.target_names))


DIGITS_WITH = {
    "odd": (1, 3, 5, 7, 9),
    "larger_than_four": (5, 6, 7, 8, 9),
    "has_a_hole": (0, 6, 8, 9),
    "prime": (2, 3, 5, 7),
    "multiple_of_three": (0, 3, 6, 9),
    "is_seven": (7,),
}
"""The digits that have each label of the source "digits_multilabel"."""


def digits_multilabel(root: Path, seed: int) -> Source:
    """8x8 grey images as in `digits`, with the labels of `DIGITS_WITH`: none for a 4, four for a 7 or 9; one rare."""
    source = digits(root, seed)

    def labels(digit: Tensor) -> Tensor:
        return torch.stack([torch.isin(digit, torch.tensor(those)) for those in DIGITS_WITH.values()], 1).long()

    return replace(
        source,
        task="multilabel",
        train_target=labels(source.train_target),
        test_target=labels(source.test_target),
        class_names=tuple(DIGITS_WITH),
    )


def breast_cancer(root: Path, seed: int) -> Source:
    """30 measurements of 569 tumours, malignant (0) or benign (1) (scikit-learn); 170 fixed to test."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    test = stratified_subset(data.target, 170, numpy_stream(FIXED, "breast_cancer", "test"))
    return _split(data.data, data.target, test, task="binary", names=map(str, data.target_names))


def diabetes(root: Path, seed: int) -> Source:
    """Progression of diabetes after a year from 10 measurements of 442 patients (scikit-learn); 132 fixed to test.

    References
    ----------
    Efron, Hastie, Johnstone, Tibshirani 2004, "Least Angle Regression".

    """
    from sklearn.datasets import load_diabetes

    data = load_diabetes()
    test = stratified_subset(np.zeros(len(data.target), int), 132, numpy_stream(FIXED, "diabetes", "test"))
    return _split(data.data, data.target, test, task="regression")


def true_function(x: Tensor) -> Tensor:
    """Return the function behind the source "outliers": sin(2 x) + x / 2.

    Examples
    --------
    >>> true_function(torch.tensor([0.0]))
    tensor([0.])

    """
    return torch.sin(2 * x) + 0.5 * x


def outliers(root: Path, seed: int) -> Source:
    """One input uniform in [-3, 3], `true_function` plus Gaussian noise of 0.1: 1000 to train, 1000 fixed to test."""
    x_train, y_train, clean_train = _noisy_function(1000, numpy_stream(seed, "outliers", "train"))
    x_test, y_test, clean_test = _noisy_function(1000, numpy_stream(FIXED, "outliers", "test"))
    return Source(
        "regression", x_train, y_train, x_test, y_test, x_train.mean(0), x_train.std(0),
        train_target_clean=clean_train, test_target_clean=clean_test,
    )  # fmt: skip


def curve(root: Path, seed: int) -> Source:
    """Numbers in [0, 10], to be told from noisy points of a curve in 8 dimensions: 4000 to train, 1000 fixed to test.

    Both parts cover the range evenly. Inputs are sin(k y) and cos(k y) for k = 0.15, 0.3, 0.6, 1.2, with Gaussian noise
    of 0.3: they do not settle the number, so that a model falls back on the numbers that it has seen often.
    """
    rng = numpy_stream(seed, "curve", "train")
    train = 10 * rng.random(4000)
    test = 10 * (np.arange(1000) + 0.5) / 1000
    seen, unseen = _on_curve(train, rng), _on_curve(test, numpy_stream(FIXED, "curve", "test"))
    y_train, y_test = (torch.tensor(part, dtype=torch.float32) for part in (train, test))
    return Source("regression", seen, y_train, unseen, y_test, seen.mean(0), seen.std(0))


def points(root: Path, seed: int, name: str) -> Source:
    """Points in the plane of a distribution of `lossbench.data.points`: 8000 to train, 2000 fixed to test."""
    train, train_mode = POINTS[name].draw(8000, numpy_stream(seed, name, "train"))
    test, test_mode = POINTS[name].draw(2000, numpy_stream(FIXED, name, "test"))
    return Source(
        "generation", train, train_mode, test, test_mode, train.mean(0), train.std(0), modes=POINTS[name].modes
    )


def noise_deviation(x: Tensor) -> Tensor:
    """Return the standard deviation of the noise of the source "heteroscedastic": from 0.05 at -3 to 0.65 at 3."""
    return 0.35 + 0.1 * x


def heteroscedastic(root: Path, seed: int) -> Source:
    """One input uniform in [-3, 3], `true_function` plus Gaussian noise that grows: 1000 to train, 1000 fixed to test.

    The deviation of the noise is `noise_deviation`. The truth has a CRPS of 0.35 / sqrt(pi) = 0.197 in expectation.
    """
    x_train, y_train, clean_train = _noisy_function(1000, numpy_stream(seed, "heteroscedastic", "train"), growing=True)
    x_test, y_test, clean_test = _noisy_function(1000, numpy_stream(FIXED, "heteroscedastic", "test"), growing=True)
    return Source(
        "regression", x_train, y_train, x_test, y_test, x_train.mean(0), x_train.std(0),
        train_target_clean=clean_train, test_target_clean=clean_test,
    )  # fmt: skip


def true_rate(x: Tensor) -> Tensor:
    """Return the expected count behind the source "counts", of inputs (N, 5); the last one has no effect.

    Formula: exp(0.5 + x_1 - 0.7 x_2 + 0.8 sin(pi x_3) + 0.5 x_1 x_4)

    Examples
    --------
    >>> true_rate(torch.zeros(1, 5))
    tensor([1.6487])

    """
    return (0.5 + x[:, 0] - 0.7 * x[:, 1] + 0.8 * torch.sin(torch.pi * x[:, 2]) + 0.5 * x[:, 0] * x[:, 3]).exp()


def counts(root: Path, seed: int) -> Source:
    """Five inputs uniform in [-1, 1], counts with the expectation `true_rate`: 1000 to train, 1000 fixed to test.

    The counts are over-dispersed: negative binomial with variance rate + 0.5 rate^2. A third of them are zero.
    """
    x_train, y_train, rate_train = _counted(1000, numpy_stream(seed, "counts", "train"))
    x_test, y_test, rate_test = _counted(1000, numpy_stream(FIXED, "counts", "test"))
    return Source(
        "count", x_train, y_train, x_test, y_test, x_train.mean(0), x_train.std(0),
        train_target_clean=rate_train, test_target_clean=rate_test,
    )  # fmt: skip


def mnist(root: Path, seed: int) -> Source:
    """28x28 grey images of ten digits: 60,000 to train, 10,000 to test (LeCun et al. 1998)."""
    return _from_torchvision("mnist", root, mean=(0.1307,), std=(0.3081,))


def fashion_mnist(root: Path, seed: int) -> Source:
    """28x28 grey images of ten kinds of clothing: 60,000 to train, 10,000 to test (Xiao et al. 2017)."""
    return _from_torchvision("fashion_mnist", root, mean=(0.2860,), std=(0.3530,))


def cifar10(root: Path, seed: int) -> Source:
    """32x32 colour images of ten classes: 50,000 to train, 10,000 to test (Krizhevsky 2009).

    Mean and standard deviation are those of published recipes (Cao et al. 2019), so that results can be compared. Their
    .2023 .1994 .2010 is the mean over images of each image's deviation; that over all pixels is .2470 .2435 .2616.
    """
    return _from_torchvision("cifar10", root, mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010))


def cifar100(root: Path, seed: int) -> Source:
    """32x32 colour images of a hundred classes: 50,000 to train, 10,000 to test (Krizhevsky 2009)."""
    return _from_torchvision("cifar100", root, mean=(0.5071, 0.4865, 0.4409), std=(0.2673, 0.2564, 0.2762))


def digit_lines(root: Path, seed: int) -> Source:
    """Lines of one to six digits of the source "digits", 8 x 64 pixels: 2,000 to train, 500 fixed to test."""
    return _lines("digit_lines", digits(root, seed), (2000, 500), seed)


def mnist_lines(root: Path, seed: int) -> Source:
    """Lines of one to six digits of MNIST, 28 x 224 pixels: 6,000 to train, 1,000 fixed to test."""
    return _lines("mnist_lines", mnist(root, seed), (6000, 1000), seed)


SOURCES = {
    function.__name__: function
    for function in (
        breast_cancer, cifar10, cifar100, counts, curve, diabetes, digit_lines, digits, digits_multilabel,
        fashion_mnist, heteroscedastic, mnist,
        mnist_lines, outliers,
    )
} | {name: partial(points, name=name) for name in POINTS}  # fmt: skip


def _split(
    inputs: Array, target: Array, test: Array, *, task: str, axes: tuple[int, ...] = (0,), names: Any = ()
) -> Source:
    train = np.setdiff1d(np.arange(len(target)), test)
    dtype = torch.float32 if task == "regression" else torch.int64
    return Source(
        task=task,
        train_inputs=torch.tensor(inputs[train], dtype=torch.float32),
        train_target=torch.tensor(target[train], dtype=dtype),
        test_inputs=torch.tensor(inputs[test], dtype=torch.float32),
        test_target=torch.tensor(target[test], dtype=dtype),
        mean=torch.tensor(inputs[train].mean(axes), dtype=torch.float32),
        std=torch.tensor(inputs[train].std(axes), dtype=torch.float32),
        class_names=tuple(names),
    )


def _lines(name: str, single: Source, sizes: tuple[int, int], seed: int) -> Source:
    """Make lines of the images of a source: training lines of its training part, test lines of its test part."""
    train, test = numpy_stream(seed, name, "train"), numpy_stream(FIXED, name, "test")
    train_inputs, train_target, train_alignment = lines_of(single.train_inputs, single.train_target, sizes[0], train)
    test_inputs, test_target, test_alignment = lines_of(single.test_inputs, single.test_target, sizes[1], test)
    return Source(
        "sequence", train_inputs, train_target, test_inputs, test_target, single.mean, single.std, single.class_names,
        train_alignment, test_alignment,
    )  # fmt: skip


def _on_curve(position: Array, rng: np.random.Generator) -> Tensor:
    angles = position[:, np.newaxis] * [0.15, 0.3, 0.6, 1.2]
    points = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    return torch.tensor(points + rng.normal(0, 0.3, size=points.shape), dtype=torch.float32)


def _noisy_function(size: int, rng: np.random.Generator, growing: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    x = torch.tensor(rng.uniform(-3, 3, size=(size, 1)), dtype=torch.float32)
    clean = true_function(x[:, 0])
    deviation = noise_deviation(x[:, 0]).numpy() if growing else 0.1
    return x, clean + torch.tensor(rng.normal(0, deviation, size=size), dtype=torch.float32), clean


def _counted(size: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    x = torch.tensor(rng.uniform(-1, 1, size=(size, 5)), dtype=torch.float32)
    rate = true_rate(x)
    observed = rng.poisson(rng.gamma(2.0, rate.numpy() / 2.0))  # a gamma mixture of Poissons is negative binomial
    return x, torch.tensor(observed, dtype=torch.float32), rate


def _from_torchvision(name: str, root: Path, mean: tuple[float, ...], std: tuple[float, ...]) -> Source:
    import torchvision.datasets

    dataset: Any = getattr(torchvision.datasets, FILES[name].dataset)
    train, test = (dataset(str(root), train=part, download=False) for part in (True, False))
    return Source(
        task="multiclass",
        train_inputs=_images(train.data),
        train_target=torch.as_tensor(train.targets),
        test_inputs=_images(test.data),
        test_target=torch.as_tensor(test.targets),
        mean=torch.tensor(mean),
        std=torch.tensor(std),
        class_names=tuple(train.classes),
    )


def _images(data: Tensor | Array) -> Tensor:
    """Return uint8 images as (N, C, H, W), from grey (N, H, W) or colour (N, H, W, C)."""
    images = torch.as_tensor(data)
    return images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous()
