"""Pairs of a box and its truth."""

from pathlib import Path

import torch

from lossbench.data.box_pairs import PAIRS, box_pairs
from lossbench.data.sources.source import Source, source
from lossbench.errors import ConfigError
from lossbench.ranges import takes
from lossbench.seeding import numpy_stream


@source(shape=(4,), serves=("boxes",))
@takes(pairs="int [343, inf)")
def box_regression(root: Path, seed: int, *, pairs: int = 2058) -> Source:
    """Anchors around targets at random points, 343 at each: the simulation of Zheng et al. 2020, with fewer points.

    The boxes that are trained are those that are measured: training and test part are the same pairs, and each seed has
    its own points.

    Raises
    ------
    ConfigError
        If `pairs` is no multiple of 343, the combinations of scale and aspects.

    """
    if pairs % PAIRS:
        raise ConfigError(
            f"data.pairs={pairs} is no multiple of {PAIRS}, the combinations of scale and aspects at each point. "
            f"Use {max(1, round(pairs / PAIRS)) * PAIRS}."
        )
    made = box_pairs(pairs // PAIRS, numpy_stream(seed, "box_regression"))
    anchors, targets = (torch.tensor(each, dtype=torch.float32) for each in made)
    return Source("boxes", anchors, targets, anchors, targets, mean=torch.zeros(4), std=torch.ones(4))
