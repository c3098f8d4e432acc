"""Pairs of a box and its truth, for the simulation of regression of boxes: which losses bring one to the other?"""

import numpy as np

from lossbench.data.corruptions import Array, Rng

CENTRE, RADIUS = 10.0, 3.0
SCALES = (0.5, 0.67, 0.75, 1.0, 1.33, 1.5, 2.0)
"""Areas of the anchors."""
ASPECTS = (1 / 4, 1 / 3, 1 / 2, 1.0, 2.0, 3.0, 4.0)
"""Width over height, of anchors and targets."""
PAIRS = len(SCALES) * len(ASPECTS) ** 2
"""Pairs to each point: 343."""


def box_pairs(points: int, rng: Rng) -> tuple[Array, Array]:
    """Make anchors around targets, all combinations of scales and aspects at each point.

    The targets have their centre at (10, 10), area 1 and one of the seven `ASPECTS`. Around them points are drawn
    uniformly from a disc of radius 3; at each of them are anchors of the seven `SCALES` and aspects. Some pairs
    overlap, most don't.

    Parameters
    ----------
    points : int
        How many points; 5000 in the paper.
    rng : numpy.random.Generator
        Draws the points.

    Returns
    -------
    anchors, targets : array of float64, shape (343 points, 4)
        Corners x1, y1, x2, y2; the 343 pairs of a point follow each other.

    References
    ----------
    Zheng et al. 2020, "Distance-IoU Loss: Faster and Better Learning for Bounding Box Regression", section 3.

    Examples
    --------
    >>> anchors, targets = box_pairs(2, np.random.default_rng(0))
    >>> anchors.shape, targets[3].tolist()
    ((686, 4), [9.5, 9.5, 10.5, 10.5])

    """
    radius, angle = RADIUS * np.sqrt(rng.uniform(size=points)), 2 * np.pi * rng.uniform(size=points)
    places = CENTRE + np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    scale, aspect, true = (each.ravel() for each in np.meshgrid(SCALES, ASPECTS, ASPECTS, indexing="ij"))
    anchors = _corners(np.repeat(places, PAIRS, axis=0), np.tile(scale, points), np.tile(aspect, points))
    targets = _corners(np.full((PAIRS * points, 2), CENTRE), np.ones(PAIRS * points), np.tile(true, points))
    return anchors, targets


def _corners(centres: Array, area: Array, aspect: Array) -> Array:
    half = np.sqrt(np.stack([area * aspect, area / aspect], axis=1)) / 2
    return np.concatenate([centres - half, centres + half], axis=1)
