"""Small data sets of scikit-learn: digits, measurements of tumours and of patients."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lossbench.data.corruptions import choose_per_class, stratified_subset
from lossbench.data.sources.source import FIXED, Source, source, split
from lossbench.seeding import numpy_stream


@source(shape=(1, 8, 8), serves=("multiclass", "images"))
def digits(root: Path, seed: int) -> Source:
    """8x8 grey images of ten digits (scikit-learn): 1297 to train, 50 of each class fixed to test."""
    from sklearn.datasets import load_digits

    data = load_digits()
    inputs = (data.images[:, None] / 16.0).astype(np.float32)
    test = choose_per_class(data.target, [50] * 10, numpy_stream(FIXED, "digits", "test"))
    return split(inputs, data.target, test, axes=(0, 2, 3), task="multiclass", names=map(str, data.target_names))


DIGITS_WITH = {
    "odd": (1, 3, 5, 7, 9),
    "larger_than_four": (5, 6, 7, 8, 9),
    "has_a_hole": (0, 6, 8, 9),
    "prime": (2, 3, 5, 7),
    "multiple_of_three": (0, 3, 6, 9),
    "is_seven": (7,),
}
"""The digits that have each label of the source "digits_multilabel"."""


@source(shape=(1, 8, 8), serves=("multilabel",))
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


@source(shape=(30,), serves=("binary",))
def breast_cancer(root: Path, seed: int) -> Source:
    """30 measurements of 569 tumours, malignant (0) or benign (1) (scikit-learn); 170 fixed to test."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    test = stratified_subset(data.target, 170, numpy_stream(FIXED, "breast_cancer", "test"))
    return split(data.data, data.target, test, task="binary", names=map(str, data.target_names))


@source(shape=(10,), serves=("regression",))
def diabetes(root: Path, seed: int) -> Source:
    """Progression of diabetes after a year from 10 measurements of 442 patients (scikit-learn); 132 fixed to test.

    References
    ----------
    Efron, Hastie, Johnstone, Tibshirani 2004, "Least Angle Regression".

    """
    from sklearn.datasets import load_diabetes

    data = load_diabetes()
    test = stratified_subset(np.zeros(len(data.target), int), 132, numpy_stream(FIXED, "diabetes", "test"))
    return split(data.data, data.target, test, task="regression")
