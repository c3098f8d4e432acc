"""Many formulas of losses to choose from, no two alike; without torch."""

from collections.abc import Sequence

import numpy as np

from lossbench.search.grammar import crossed, mutate, points_of, random_expression, simplified, values_of


def pool(
    rng: np.random.Generator, count: int, variables: Sequence[str] = ("p",), known: Sequence[str] = (), depth: int = 3
) -> list[str]:
    """Return formulas to choose from: known ones, then by turns drawn, changed and crossed ones, simplified.

    No two are the same up to a factor and a constant, which change no more than a learning rate does.

    Parameters
    ----------
    rng, depth, variables
        As `random_expression` has them.
    count : int
        How many; after 20 tries for each it stops with fewer.
    known : sequence of str
        Formulas that come first, such as those of known losses.

    Examples
    --------
    >>> pool(np.random.default_rng(0), 3, known=["-log(p)", "-2*log(p) + 1", "1 - p"])
    ['-log(p)', '1 - p', '-sqrt(p)']

    """
    found: dict[bytes, str] = {}
    for text in known:
        found.setdefault(_shape(text, variables), text)
    for turn in range(20 * count):
        if len(found) >= count:
            break
        others = list(found.values())
        if turn % 3 == 0 or not others:
            text = random_expression(rng, depth, variables)
        elif turn % 3 == 1:
            text = mutate(others[int(rng.integers(len(others)))], rng, variables)
        else:
            text = crossed(
                others[int(rng.integers(len(others)))], others[int(rng.integers(len(others)))], rng, variables
            )
        text = simplified(text, variables)
        found.setdefault(_shape(text, variables), text)
    return list(found.values())[:count]


def _shape(expression: str, variables: Sequence[str]) -> bytes:
    """Return what formulas have in common that are the same up to a factor and a constant, as far as `GRID` sees."""
    values = values_of(expression, points_of(variables))
    with np.errstate(all="ignore"):
        values = (values - values.min()) / np.ptp(values)
    return bytes((values.round(5) + 0.0).tobytes())
