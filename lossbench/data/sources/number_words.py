"""Numbers in words, to be translated from one language to another."""

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lossbench.data.corruptions import Array, Rng
from lossbench.data.number_words import LANGUAGES, LONGEST, all_pieces, spelled
from lossbench.data.sources.source import FIXED, Source, source
from lossbench.seeding import numpy_stream

DIRECTIONS = tuple(permutations(LANGUAGES, 2))
SPECIAL = ("<padding>", "<start>", "<end>")
SMALL = 100
"""Numbers below it are trained in each direction: their words are what longer numbers are made of."""
TRAIN, TEST, LONG = 1800, 200, 300
"""Numbers of each of three to five digits to train and to test, and of six digits to test."""


@source(shape=(18,), serves=("translation",))
def number_words(root: Path, seed: int) -> Source:
    """Numbers in English, German and French words, from each language to each other: 6,000 to train, 900 to test.

    The first token of the inputs says from which language to which, such as `en>de`; then come the pieces of the words,
    spaces included, and 0. A target is the pieces, then -1. Training has all numbers below 100 in all six directions
    and 1,800 each of three, four and five digits. The test part is the same under every seed: 200 other numbers of each
    of these lengths, and as `long` 300 of six digits, which training never saw. `shared["pieces"]` is what each token
    is written as, nothing for those that are no text.

    Parameters
    ----------
    root : Path
        Not looked at.
    seed : int
        Draws the training numbers.

    """
    pieces = all_pieces()
    names = (*SPECIAL, *(f"{given}>{wanted}" for given, wanted in DIRECTIONS), *pieces)
    first = len(names) - len(pieces)
    fixed, drawn = numpy_stream(FIXED, "number_words", "test"), numpy_stream(seed, "number_words", "train")
    tested = [_distinct(digits, TEST, fixed) for digits in (3, 4, 5)]
    long = _distinct(6, LONG, fixed)
    trained = [_other(digits, apart, drawn) for digits, apart in zip((3, 4, 5), tested, strict=True)]
    # In a row of samples the directions take turns; a small number has them all.
    train = [number for small in range(SMALL) for number in [small] * len(DIRECTIONS)] + np.concatenate(
        trained
    ).tolist()
    test = np.concatenate([*tested, long]).tolist()
    train_inputs, train_target = _tokens(train, names)
    test_inputs, test_target = _tokens(test, names)
    is_long = torch.arange(len(test)) >= len(test) - LONG
    return Source(
        task="translation",
        train_inputs=train_inputs,
        train_target=train_target,
        test_inputs=test_inputs,
        test_target=test_target,
        mean=torch.zeros(1),
        std=torch.ones(1),
        class_names=names,
        train_extras={"long": torch.zeros(len(train), dtype=torch.int64)},
        test_extras={"long": is_long.long()},
        shared={"pieces": [*[""] * first, *pieces], "languages": [*LANGUAGES]},
    )


def _distinct(digits: int, count: int, rng: Rng) -> Array:
    """Draw different numbers of so many digits."""
    least = 10 ** (digits - 1)
    return least + rng.choice(9 * least, size=count, replace=False)


def _other(digits: int, apart: Array, rng: Rng) -> Array:
    """Draw the training numbers of so many digits, none of them one that is tested.

    Of three digits there are too few: each number comes in some directions, in none twice.
    """
    least = 10 ** (digits - 1)
    left = np.setdiff1d(np.arange(least, 10 * least), apart)
    rounds = -(-TRAIN // len(left))
    if rounds == 1:
        return rng.choice(left, size=TRAIN, replace=False)
    each = TRAIN // len(DIRECTIONS)
    by_direction = [rng.choice(left, size=each, replace=False) for _ in DIRECTIONS]
    return np.stack(by_direction, axis=1).reshape(-1)


def _tokens(numbers: Sequence[int], names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return inputs (N, 18), filled up with 0, and targets (N, 17), filled up with -1; directions take turns."""
    places = {name: place for place, name in enumerate(names)}
    inputs = torch.zeros((len(numbers), 1 + LONGEST), dtype=torch.int64)
    target = torch.full((len(numbers), LONGEST), -1)
    for row, number in enumerate(numbers):
        given, wanted = DIRECTIONS[row % len(DIRECTIONS)]
        read = [f"{given}>{wanted}", *spelled(number, given)]
        written = spelled(number, wanted)
        inputs[row, : len(read)] = torch.tensor([places[each] for each in read])
        target[row, : len(written)] = torch.tensor([places[each] for each in written])
    return inputs, target
