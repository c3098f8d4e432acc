"""Characters in the fonts that matplotlib ships."""

from pathlib import Path

from lossbench.data.glyphs import ALL, pictures
from lossbench.data.sources.pictures import standardised
from lossbench.data.sources.source import FIXED, Source, source
from lossbench.seeding import numpy_stream

OF_EACH = 20
"""Pictures of a character."""


@source(shape=(1, 20, 20), serves=("embedding",))
def glyphs(root: Path, seed: int) -> Source:
    """20x20 grey pictures of 349 characters in 12 or 16 faces, 20 of each: 233 characters to train, 116 others to test.

    Which characters are tested, and the pictures of the test part, are the same under every seed.
    """
    order = "".join(ALL[place] for place in numpy_stream(FIXED, "glyphs", "classes").permutation(len(ALL)))
    tested = len(order) // 3
    parts = ("".join(sorted(order[tested:])), "".join(sorted(order[:tested])))
    streams = numpy_stream(seed, "glyphs", "train"), numpy_stream(FIXED, "glyphs", "test")
    (train, train_target), (test, test_target) = (
        pictures(part, OF_EACH, rng) for part, rng in zip(parts, streams, strict=True)
    )
    targets = (train_target, test_target + len(parts[0]))
    return standardised("embedding", (train, test), targets, tuple("".join(parts)))
