"""Corruption of masks: boundaries that are off, objects that are missing, classes with few pixels.

Pure functions of NumPy arrays. Masks (N, H, W) are uint8 classes: 0 is background, 255 is not known and never touched.
Those that change masks return copies, those that choose pictures return their rows; both with what came out of it, for
the record.
"""

from typing import NamedTuple

import numpy as np

from lossbench.data.corruptions import Array, Rng, part_of
from lossbench.data.textures import smooth_noise
from lossbench.errors import ConfigError
from lossbench.ranges import takes
from lossbench.tasks.segmentation.metrics import UNKNOWN, object_numbers

SMOOTH = 8
"""Pixels over which the displacement of a boundary changes."""
BLOCK = 250
"""Pictures whose displacements are held at once."""
ROUNDS = 300
"""Of fitting the chances of classes."""


class NoisyMasks(NamedTuple):
    """Masks after corruption, and numbers for the record."""

    masks: Array
    facts: dict[str, float]


class ChosenRows(NamedTuple):
    """Rows of the pictures to keep, ascending, and numbers for the record."""

    rows: Array
    facts: dict[str, float | list[int]]


@takes(radius="number [0, 16]", rate="number [0, 1]")
def noisy_masks(
    kind: str, masks: Array, rng: Rng, *, instances: Array | None = None, radius: float = 2.0, rate: float = 0.2
) -> Array:
    """Return masks with noise of a kind: "boundary" (`boundary_jitter`) or "missing" (`missing_objects`)."""
    if kind == "boundary":
        return boundary_jitter(masks, rng, radius).masks
    return missing_objects(masks, rng, rate, instances).masks


def fewer_pixels(kind: str, masks: Array, rng: Rng, factor: float) -> Array:
    """Return the rows of pictures that are kept: of "rare" (`rare_classes`) or "less_foreground"."""
    return (rare_classes if kind == "rare" else less_foreground)(masks, factor, rng).rows


def boundary_jitter(masks: Array, rng: Rng, radius: float) -> NoisyMasks:
    """Move the boundary between any two classes, here to the one side and there to the other, by at most `radius`.

    Each class k of a picture has a displacement u_k, smooth noise in [-radius, radius] with a new value every 8 pixels.
    A pixel of class a at distance d to the next pixel of class b, which is d - 1/2 from the boundary, becomes b where
    d - 1/2 < (u_b - u_a) / 2: an object grows where its displacement is above that of what lies beside it, and else
    shrinks. Thin objects may be cut or vanish.

    Parameters
    ----------
    masks : array of uint8, shape (N, H, W)
        Classes.
    rng : numpy.random.Generator
        Draws the displacements.
    radius : float
        In pixels, at least 0; below 1 little happens.

    Returns
    -------
    NoisyMasks
        `changed`: share of known pixels with another class; `pictures`: share of pictures with such a pixel.

    Examples
    --------
    >>> square = np.zeros((1, 24, 24), dtype=np.uint8)
    >>> square[0, 8:16, 8:16] = 1
    >>> moved = boundary_jitter(square, np.random.default_rng(0), radius=3)
    >>> bool(moved.masks[0, 11:13, 11:13].all()), bool(moved.masks[0, :5].any()), moved.facts["changed"] > 0
    (True, False, True)

    """
    blocks = [_jitter(masks[start : start + BLOCK], rng, radius) for start in range(0, len(masks), BLOCK)]
    return _noisy(masks, np.concatenate(blocks))


def _jitter(masks: Array, rng: Rng, radius: float) -> Array:
    """Move the boundaries of some pictures; only pixels near a boundary are looked at again."""
    count, *size = masks.shape
    reach = int(radius + 0.5)
    classes = int(np.where(masks == UNKNOWN, 0, masks).max(initial=0)) + 1
    cells = max(2, max(size) // SMOOTH)
    shifts = (radius * (2 * smooth_noise(count, classes, (size[0], size[1]), cells, rng) - 1)).ravel()
    padded = np.pad(masks, ((0, 0), (reach, reach), (reach, reach)), constant_values=UNKNOWN)
    near = sorted((i * i + j * j, i, j) for i in range(-reach, reach + 1) for j in range(-reach, reach + 1))
    near = [each for each in near if 0 < each[0] <= (radius + 0.5) ** 2]
    nearest = np.full(masks.shape, np.inf, dtype=np.float32)
    for squared, down, across in near[::-1]:
        other = padded[:, reach + down :, reach + across :][:, : size[0], : size[1]]
        nearest[(other != masks) & (other != UNKNOWN) & (masks != UNKNOWN)] = squared**0.5
    picture, row, column = (nearest < np.inf).nonzero()
    own, to_other = masks[picture, row, column], nearest[picture, row, column]
    start = (picture * classes * size[0] + row) * size[1] + column  # of the displacement of class 0 of each pixel

    def shift(label: Array) -> Array:
        displaced: Array = shifts[start + np.minimum(label, classes - 1).astype(np.int64) * (size[0] * size[1])]
        return displaced

    chosen, least = own.copy(), 1 - to_other - shift(own)
    for squared, down, across in near:
        label = padded[picture, row + reach + down, column + reach + across]
        score = squared**0.5 - shift(label)
        better = (label != own) & (label != UNKNOWN) & (score < least)
        chosen, least = np.where(better, label, chosen), np.where(better, score, least)
    moved = masks.copy()
    moved[picture, row, column] = chosen
    return moved


def missing_objects(masks: Array, rng: Rng, rate: float, instances: Array | None = None) -> NoisyMasks:
    """Make floor(rate * number of objects) objects of all pictures background, drawn at random.

    Parameters
    ----------
    masks : array of uint8, shape (N, H, W)
        Classes.
    rng : numpy.random.Generator
        Draws the objects.
    rate : float
        In [0, 1].
    instances : array of uint8, shape (N, H, W), optional
        The number of the object of each pixel, 0 where there is none; an object is missing if its pixels have become 0.
        Without it, objects are the connected parts of each class, diagonal neighbours included.

    Returns
    -------
    NoisyMasks
        `objects`: how many there were; `missing`: how many are missing; `changed` and `pictures` as of
        `boundary_jitter`.

    Examples
    --------
    >>> bars = np.zeros((1, 3, 8), dtype=np.uint8)
    >>> bars[0, 0, ::2] = 1
    >>> missing_objects(bars, np.random.default_rng(0), 0.5).masks[0, 0].sum()
    np.uint64(2)

    """
    seen = (masks != 0) & (masks != UNKNOWN)
    if instances is None:
        objects = object_numbers(masks)
    else:
        objects, seen = instances + np.arange(len(masks))[:, None, None] * 256, seen & (instances > 0)
    numbers = np.flatnonzero(np.bincount(objects[seen]))
    dropped = rng.permutation(numbers)[: part_of(len(numbers), rate)]
    is_dropped = np.zeros(int(objects.max(initial=0)) + 1, dtype=bool)
    is_dropped[dropped] = True
    made = _noisy(masks, np.where(seen & is_dropped[objects], 0, masks).astype(masks.dtype))
    return NoisyMasks(made.masks, {"objects": len(numbers), "missing": len(dropped), **made.facts})


def _noisy(masks: Array, changed: Array) -> NoisyMasks:
    other, known = changed != masks, masks != UNKNOWN
    pictures = other.any(axis=(1, 2)).mean() if len(masks) else 0.0
    return NoisyMasks(changed, {"changed": float(other.sum() / max(1, known.sum())), "pictures": float(pictures)})


def rare_classes(masks: Array, factor: float, rng: Rng) -> ChosenRows:
    """Choose pictures such that the pixels of classes 1, 2 ... K fall exponentially, the last having 1 / factor of 1's.

    Formula: pixels_k = pixels_1 * factor^(-(k - 1) / (K - 1)). A picture is kept with the product of the chances of the
    classes that are seen in it; that of class 1 is 1, the others are fitted so that the expected pixels fall as they
    shall. Within the pictures that have the same rarest class, nearly exactly the expected number is drawn.

    A class that is too rare from the start stays as it is; where classes are always seen together, nothing can be
    done. What came out is in `pixels`. Many classes in each picture leave few pictures, most of them with class 1.

    Parameters
    ----------
    masks : array of uint8, shape (N, H, W)
        Classes.
    factor : float
        Pixels of class 1 over those of the last class, at least 1, which makes classes alike.
    rng : numpy.random.Generator
        Draws the pictures.

    Returns
    -------
    ChosenRows
        `pixels`: those of each class that are kept, from the background on; `factor`: pixels of class 1 over those of
        the last one, if it has any.

    Examples
    --------
    >>> masks = np.random.default_rng(0).integers(1, 4, (3000, 1, 1)).astype(np.uint8)
    >>> rare_classes(masks, 10, np.random.default_rng(0)).facts["pixels"][1:]
    [962, 304, 96]

    """
    pixels = _pixels(masks)
    of_objects = pixels[:, 1:].astype(float)
    classes = of_objects.shape[1]
    wanted = (1 / factor) ** (np.arange(classes) / max(1, classes - 1))
    seen, chance = of_objects > 0, np.ones(classes)
    for _ in range(ROUNDS):
        kept = np.exp(seen @ np.log(chance)) @ of_objects
        step = np.divide(wanted * kept[:1], kept, out=np.ones(classes), where=kept > 0)
        chance = np.clip(chance * np.sqrt(step), 1e-9, 1)
    rarest = np.where(seen, np.arange(1, classes + 1), 0).max(axis=1, initial=0)
    rows = _drawn(np.exp(seen @ np.log(chance)), rarest, rng)
    left = pixels[rows].sum(axis=0).tolist()
    realised = {"factor": left[1] / left[-1]} if classes and left[-1] else {}
    return ChosenRows(rows, {"pixels": left, **realised})


def less_foreground(masks: Array, factor: float, rng: Rng) -> ChosenRows:
    """Choose pictures such that the share of all pixels that are not background falls to 1 / factor of what it was.

    A picture whose share is a is kept with probability exp(-s (a - least)), where s is fitted and least is the smallest
    share of a picture; so what is kept has fewer and smaller objects.

    Parameters
    ----------
    masks : array of uint8, shape (N, H, W)
        Classes.
    factor : float
        At least 1.
    rng : numpy.random.Generator
        Draws the pictures.

    Returns
    -------
    ChosenRows
        `share_before` and `share`: that of the foreground among the known pixels, of all pictures and of those kept.

    Raises
    ------
    ConfigError
        If the share falls too far for the pictures there are.

    Examples
    --------
    >>> masks = np.arange(1000).reshape(10, 10, 10) // 10 % 10 < np.arange(10)[:, None, None]
    >>> facts = less_foreground(np.repeat(masks, 50, 0).astype(np.uint8), 3, np.random.default_rng(0)).facts
    >>> facts["share_before"], round(facts["share"], 2)
    (0.45, 0.15)

    """
    from scipy.optimize import brentq

    pixels = _pixels(masks).astype(float)
    known, objects = pixels.sum(axis=1), pixels[:, 1:].sum(axis=1)
    share = objects / np.maximum(known, 1)
    least, before = share.min(initial=1), objects.sum() / known.sum()

    def chances(slope: float) -> Array:
        return np.exp(-slope * (share - least))

    def above(slope: float) -> float:
        return float(chances(slope) @ (objects - known * before / factor))

    steepest = 700 / max(share.max() - least, 1e-9)
    if factor > 1 and above(steepest) >= 0:
        raise ConfigError(
            f"less_foreground: factor={factor:g} asks for a share of {before / factor:.3g}, but no picture has less "
            f"than {least:.3g}. Use a factor below {before / max(least, 1e-9):.3g}."
        )
    rows = _drawn(chances(brentq(above, 0, steepest) if factor > 1 else 0.0), share, rng)
    return ChosenRows(rows, {"share_before": float(before), "share": float(objects[rows].sum() / known[rows].sum())})


def _pixels(masks: Array) -> Array:
    """Count the pixels (N, K) of each class in each picture."""
    classes = int(np.where(masks == UNKNOWN, 0, masks).max(initial=0)) + 1
    return np.stack([(masks == kind).sum(axis=(1, 2)) for kind in range(classes)], axis=1)


def _drawn(chance: Array, order: Array, rng: Rng) -> Array:
    """Draw rows with their chances, and along `order` as evenly as can be: of any stretch its sum, up to one."""
    shuffled = rng.permutation(len(chance))
    shuffled = shuffled[np.argsort(order[shuffled], kind="stable")]
    steps = np.floor(np.cumsum(chance[shuffled]) + rng.random())
    return np.sort(shuffled[np.diff(steps, prepend=0) > 0])
