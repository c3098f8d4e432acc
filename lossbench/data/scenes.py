"""Pictures with masks, made up: a field whose posterior is known, lesions on grey, digits pasted on textures.

Pure functions of NumPy arrays and a generator. Pictures are made in blocks of `BLOCK`, so that memory stays bounded.
"""

from typing import NamedTuple

import numpy as np

from lossbench.data.corruptions import Array, Rng
from lossbench.data.textures import smooth_noise, stretched, tents, textures
from lossbench.errors import ConfigError

BLOCK = 250
"""Pictures that are made at once."""
FEWEST_PIXELS = 5
"""An object of a scene with fewer visible pixels is none."""
GRID = 3
"""A lesion or a distractor lies within a cell of its own of GRID x GRID, so that none hides another."""
NARROWEST = 0.6
"""Short over long axis of the narrowest lesion."""
_EDGE = np.float32(2**-24)


class Field(NamedTuple):
    """Pictures (N, 1, H, W) float32, labels (N, H, W) uint8 and their posterior (N, H, W) float32."""

    images: Array
    masks: Array
    posterior: Array


class Lesions(NamedTuple):
    """Pictures (N, 1, H, W) uint8 and masks (N, H, W) uint8: 1 is lesion."""

    images: Array
    masks: Array


class Scenes(NamedTuple):
    """Pictures of objects.

    Parameters
    ----------
    images : array of uint8, shape (N, 3, H, W)
        Colours.
    classes : array of uint8, shape (N, H, W)
        0 is background, else 1 + the class of the object that is seen.
    instances : array of uint8, shape (N, H, W)
        0 is background, else 1 + the number of the object that is seen, in the order of pasting.
    boxes : array of float32, shape (N, most, 4)
        x1 y1 x2 y2 around the visible pixels of each object, x2 and y2 one behind the last; zeros for an absent one.
    box_labels : array of int64, shape (N, most)
        Classes of the objects, from 0; -1 for an absent one.

    """

    images: Array
    classes: Array
    instances: Array
    boxes: Array
    box_labels: Array


def field(count: int, rng: Rng, size: int = 32, beta: tuple[float, float] = (1.0, 1.0)) -> Field:
    """Draw pictures of independent pixels x, each with a label that is 1 with probability x.

    Parameters
    ----------
    count : int
        Number of pictures N.
    rng : numpy.random.Generator
        Draws pixels and labels.
    size : int
        Height and width.
    beta : tuple of float
        a and b of the Beta distribution of x; (1, 1) is the uniform one on (0, 1).

    Examples
    --------
    >>> made = field(100, np.random.default_rng(0))
    >>> made.images.shape, round(float(made.masks.mean()), 2), bool((made.posterior == made.images[:, 0]).all())
    ((100, 1, 32, 32), 0.5, True)

    """
    shape = (count, size, size)
    posterior = np.clip(rng.beta(*beta, size=shape).astype(np.float32), _EDGE, 1 - _EDGE)
    masks = (rng.random(shape) < posterior).astype(np.uint8)
    return Field(posterior[:, None], masks, posterior)


def lesions(
    count: int, rng: Rng, size: int = 32, share: float = 0.02, *, empty: float = 0.2, most: int = 3, others: int = 3
) -> Lesions:
    """Draw grey pictures with few small bright ellipses with soft edges, and distractors: dark ones and bright lines.

    A picture has 1 to `most` lesions, or none with probability `empty`. Their mean area is such that `share` of all
    pixels of all pictures is lesion on average.

    Parameters
    ----------
    count : int
        Number of pictures N.
    rng : numpy.random.Generator
        Draws all.
    size : int
        Height and width.
    share : float
        Mean share of lesion pixels, over all pictures.
    empty : float
        Share of pictures without a lesion, in [0, 1).
    most, others : int
        The most lesions and the most distractors of a picture, together at most 9.

    Raises
    ------
    ConfigError
        If the lesions would not fit into their cells.

    Examples
    --------
    >>> made = lesions(400, np.random.default_rng(0), share=0.03)
    >>> bool(0.027 < made.masks.mean() < 0.033), bool((made.masks.max((1, 2)) == 0).any())
    (True, True)

    """
    area = share * size**2 / ((1 - empty) * (1 + most) / 2)
    largest = (size / GRID / 2) ** 2 * np.pi * NARROWEST / 1.5
    if area > largest or most + others > GRID**2:
        raise ConfigError(
            f"lesions: share={share:g} with most={most}, others={others}, empty={empty:g} does not fit. Use a share of "
            f"at most {share * largest / area:.2g}, and at most {GRID**2} lesions and distractors together."
        )
    blocks = [
        _lesions(min(BLOCK, count - start), rng, size, area, empty, most, others) for start in range(0, count, BLOCK)
    ]
    return Lesions(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))


def _lesions(count: int, rng: Rng, size: int, area: float, empty: float, most: int, others: int) -> Lesions:
    canvas = 0.4 + 0.3 * (smooth_noise(count, 1, (size, size), 4, rng)[:, 0] - 0.5)
    canvas += 0.2 * (smooth_noise(count, 1, (size, size), size // 3, rng)[:, 0] - 0.5)
    canvas += np.float32(0.03) * rng.standard_normal(canvas.shape, dtype=np.float32)
    masks = np.zeros(canvas.shape, dtype=np.uint8)
    number = np.where(rng.random(count) < empty, 0, rng.integers(1, most + 1, size=count))
    distractors = rng.integers(0, others + 1, size=count)
    cells = rng.permuted(np.tile(np.arange(GRID**2), (count, 1)), axis=1)
    for slot in range(most + others):
        is_lesion = slot < most
        is_line = (rng.random(count) < 0.5) & (not is_lesion)
        narrow = np.where(is_line, 0.1, rng.uniform(NARROWEST, 1, count))
        long = np.sqrt(area * rng.uniform(0.5, 1.5, count) / (np.pi * np.maximum(narrow, NARROWEST)))
        inside = _inside(cells[:, slot], long, long * narrow, size, rng)
        seen = number > slot if is_lesion else distractors > slot - most
        bright = rng.uniform(0.25, 0.5, count) * np.where(is_line | is_lesion, 1, -1) * seen
        canvas += bright.astype(np.float32)[:, None, None] / (1 + np.exp(np.clip(-2 * inside, -30, 30)))
        if is_lesion:
            masks[(inside >= 0) & seen[:, None, None]] = 1
    return Lesions((np.clip(canvas, 0, 1)[:, None] * 255).round().astype(np.uint8), masks)


def _inside(cell: Array, long: Array, short: Array, size: int, rng: Rng) -> Array:
    """Place an ellipse of half axes (N,) in a cell, and return about how far each pixel (N, H, W) lies inside it."""
    corner = np.stack([cell // GRID, cell % GRID]) * size / GRID
    centre = corner + rng.uniform(long, size / GRID - long, (2, len(cell)))
    angle = rng.uniform(0, np.pi, len(cell))
    pixels = np.arange(size) + 0.5
    down, across = (pixels - each[:, None] for each in centre)
    cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]

    def along(of_down: Array, of_across: Array, half: Array) -> Array:
        both = (down * of_down / half[:, None])[:, :, None] + (across * of_across / half[:, None])[:, None]
        squared: Array = both.astype(np.float32) ** 2
        return squared

    radius = np.sqrt(along(sine, cosine, long) + along(cosine, -sine, short))
    inside: Array = (1 - radius) * short.astype(np.float32)[:, None, None]
    return inside


def digit_scenes(
    digits: Array,
    labels: Array,
    count: int,
    rng: Rng,
    *,
    backgrounds: Array | None = None,
    size: int = 64,
    most: int = 5,
    scales: tuple[float, float] = (1.0, 2.0),
    num_classes: int = 10,
    nearer_is_larger: bool = False,
) -> Scenes:
    """Paste digits on textures, later ones over earlier ones, each at a random place, in a random size and colour.

    A scene has 1 to `most` digits. A digit is enlarged bilinearly; its pixels are those with at least half of the full
    ink. Each channel of its colour differs by at least .35 from the mean colour of what it covers.

    An object of which fewer than `FEWEST_PIXELS` pixels are left to be seen is dropped: it has no number and no box,
    and its pixels are background in classes and instances. The picture is not changed.

    Parameters
    ----------
    digits : array, shape (M, h, w)
        Ink of single digits on a background of 0, uint8 or floating; the largest value is full ink.
    labels : array of int, shape (M,)
        Which digit each is, from 0.
    count : int
        Number of scenes N.
    rng : numpy.random.Generator
        Draws all.
    backgrounds : array of uint8, shape (B, 3, h', w'), optional
        Pictures to choose from, stretched to the scene. Without them colour noise and stripes.
    size : int
        Height and width of a scene.
    most : int
        The most digits of a scene.
    scales : tuple of float
        Smallest and largest enlargement of a digit.
    num_classes : int
        Classes K; digits that are equal modulo K are of one class.
    nearer_is_larger : bool
        Whether a later digit is larger than each before it, so that a picture shows what is in front.

    Raises
    ------
    ConfigError
        If the largest digit is larger than a scene.

    Examples
    --------
    >>> digits, rng = np.ones((2, 8, 8)), np.random.default_rng(0)
    >>> made = digit_scenes(digits, np.array([3, 7]), 100, rng, most=2)
    >>> made.images.shape, sorted(set(made.classes.ravel().tolist())), made.box_labels.max(0).tolist()
    ((100, 3, 64, 64), [0, 4, 8], [7, 7])

    """
    if max(digits.shape[1:]) * scales[1] > size:
        raise ConfigError(
            f"digit_scenes: digits of {digits.shape[1]}x{digits.shape[2]} pixels enlarged by {scales[1]:g} do not fit "
            f"into {size}x{size}. Use a larger size, or smaller scales."
        )
    full, classes = np.float32(digits.max()), labels.astype(np.int64) % num_classes
    blocks = []
    for start in range(0, count, BLOCK):
        chosen = rng.integers(len(labels), size=(min(BLOCK, count - start), most))
        ground = _ground(len(chosen), backgrounds, size, rng)
        blocks.append(
            _scenes(digits[chosen] / full, classes[chosen], ground, _scales(scales, most, nearer_is_larger), rng)
        )
    return Scenes(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))


def _ground(count: int, backgrounds: Array | None, size: int, rng: Rng) -> Array:
    if backgrounds is None:
        return textures(count, size, rng)
    return stretched(backgrounds[rng.integers(len(backgrounds), size=count)], size)


def _scales(scales: tuple[float, float], most: int, grow: bool) -> list[tuple[float, float]]:
    """Return the smallest and largest enlargement of each slot: the same for all, or one part after the other."""
    if not grow:
        return [scales] * most
    ends = np.linspace(*scales, most + 1)
    return list(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True))


def _scenes(ink: Array, classes: Array, canvas: Array, scales: list[tuple[float, float]], rng: Rng) -> Scenes:
    """Paste digits with ink (N, most, h, w) in [0, 1] on canvas (N, 3, H, W), which is written to."""
    count, most = classes.shape
    number = rng.integers(1, most + 1, size=count)
    instances = np.zeros((count, *canvas.shape[2:]), dtype=np.uint8)
    for slot in range(most):
        rows = np.flatnonzero(number > slot)
        placed = _placed(ink[rows, slot], scales[slot], canvas.shape[-1], rng)
        under, weight = canvas[rows], placed[:, None]
        mean = (under * weight).sum((2, 3)) / weight.sum((2, 3))
        colour = (mean + rng.uniform(0.35, 0.65, mean.shape).astype(np.float32)) % 1  # in a circle, .35 to each side
        canvas[rows] = under + weight * (colour[..., None, None] - under)
        instances[rows] = np.where(placed >= 0.5, slot + 1, instances[rows])
    images = (canvas * 255).round().astype(np.uint8)
    return Scenes(images, *_seen(instances, classes))


def _placed(ink: Array, scales: tuple[float, float], size: int, rng: Rng) -> Array:
    """Enlarge digits (N, h, w) bilinearly and put them at random places of squares (N, size, size) of 0."""
    scale, pixels = rng.uniform(*scales, len(ink)), np.arange(size) + 0.5
    weights = []
    for side in ink.shape[1:]:
        start = rng.uniform(0, size - side * scale)
        weights.append(tents(((pixels - start[:, None]) / scale[:, None] - 0.5).astype(np.float32), side))
    placed: Array = weights[0] @ ink.astype(np.float32) @ weights[1].transpose(0, 2, 1)
    return placed


def _seen(pasted: Array, labels: Array) -> tuple[Array, Array, Array, Array]:
    """Return classes, instances, boxes and labels of the objects that are seen enough, numbered without gaps."""
    count, most = labels.shape
    visible = np.stack([(pasted == slot + 1).sum((1, 2)) for slot in range(most)], axis=1)
    kept = visible >= FEWEST_PIXELS
    numbers = np.zeros((count, most + 1), dtype=np.uint8)
    numbers[:, 1:] = kept.cumsum(axis=1) * kept
    box_labels = np.full((count, most), -1)
    box_labels[kept.nonzero()[0], numbers[:, 1:][kept] - 1] = labels[kept]
    of_class = np.concatenate([np.zeros((count, 1), dtype=np.uint8), 1 + box_labels], axis=1).astype(np.uint8)
    picture = np.arange(count)[:, None, None]
    instances = numbers[picture, pasted]
    boxes = np.stack([_box(instances == slot + 1) for slot in range(most)], axis=1)
    return of_class[picture, instances], instances, boxes, box_labels


def _box(masks: Array) -> Array:
    """Return x1 y1 x2 y2 (N, 4) around masks (N, H, W); zeros around an empty one."""
    columns, rows = masks.max(axis=1), masks.max(axis=2)
    first = (columns.argmax(axis=1), rows.argmax(axis=1))
    last = (side.shape[1] - side[:, ::-1].argmax(axis=1) for side in (columns, rows))
    boxes: Array = np.stack([*first, *last], axis=1).astype(np.float32) * columns.max(axis=1, keepdims=True)
    return boxes
