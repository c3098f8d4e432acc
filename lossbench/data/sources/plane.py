"""Points in the plane, of the distributions of `lossbench.data.points`."""

from pathlib import Path

from lossbench.data.points import POINTS
from lossbench.data.sources.source import FIXED, Source, source
from lossbench.seeding import numpy_stream


@source(shape=(2,), serves=("points",))
def gaussians8(root: Path, seed: int) -> Source:
    """Eight Gaussians on a circle: 8000 points to train, 2000 fixed to test."""
    return _points("gaussians8", seed)


@source(shape=(2,), serves=("points",))
def gaussians25(root: Path, seed: int) -> Source:
    """Twenty-five Gaussians on a grid: 8000 points to train, 2000 fixed to test."""
    return _points("gaussians25", seed)


@source(shape=(2,), serves=("points",))
def ring(root: Path, seed: int) -> Source:
    """Points on a ring: 8000 to train, 2000 fixed to test."""
    return _points("ring", seed)


@source(shape=(2,), serves=("points",))
def spiral(root: Path, seed: int) -> Source:
    """Points on a spiral: 8000 to train, 2000 fixed to test."""
    return _points("spiral", seed)


def _points(name: str, seed: int) -> Source:
    """Points in the plane of a distribution of `lossbench.data.points`: 8000 to train, 2000 fixed to test."""
    train, train_mode = POINTS[name].draw(8000, numpy_stream(seed, name, "train"))
    test, test_mode = POINTS[name].draw(2000, numpy_stream(FIXED, name, "test"))
    return Source("points", train, train_mode, test, test_mode, train.mean(0), train.std(0), modes=POINTS[name].modes)
