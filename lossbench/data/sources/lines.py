"""Lines of digits, to be read."""

from pathlib import Path

from lossbench.data.lines import lines_of
from lossbench.data.sources.images import mnist
from lossbench.data.sources.source import FIXED, Source, source
from lossbench.data.sources.tables import digits
from lossbench.seeding import numpy_stream


@source(shape=(1, 8, 64), serves=("sequence",))
def digit_lines(root: Path, seed: int) -> Source:
    """Lines of one to six digits of the source "digits", 8 x 64 pixels: 2,000 to train, 500 fixed to test."""
    return _lines("digit_lines", digits(root, seed), (2000, 500), seed)


@source(shape=(1, 28, 224), serves=("sequence",))
def mnist_lines(root: Path, seed: int) -> Source:
    """Lines of one to six digits of MNIST, 28 x 224 pixels: 6,000 to train, 1,000 fixed to test."""
    return _lines("mnist_lines", mnist(root, seed), (6000, 1000), seed)


def _lines(name: str, single: Source, sizes: tuple[int, int], seed: int) -> Source:
    """Make lines of the images of a source: training lines of its training part, test lines of its test part."""
    train, test = numpy_stream(seed, name, "train"), numpy_stream(FIXED, name, "test")
    train_inputs, train_target, train_alignment = lines_of(single.train_inputs, single.train_target, sizes[0], train)
    test_inputs, test_target, test_alignment = lines_of(single.test_inputs, single.test_target, sizes[1], test)
    return Source(
        "sequence", train_inputs, train_target, test_inputs, test_target, single.mean, single.std, single.class_names,
        train_alignment, test_alignment,
    )  # fmt: skip
