"""The formula of the next candidate, where formulas themselves are searched: drawn anew, or made of the best so far."""

from collections.abc import Sequence

import numpy as np

from lossbench.losses.formula import VARIABLES
from lossbench.search.grammar import crossed, mutate, random_expression
from lossbench.seeding import derive_seed

KEY = "loss.expression"
"""Where a formula stands in the config."""
PARENTS = 5
"""From so many of the best formulas new ones are made."""
NEW, CROSSED = 0.2, 0.25
"""The shares that are drawn anew, and crossed of two; the others are one that is changed at a place."""
TRIES = 20


def next_formula(family: str, tried: Sequence[str], best: Sequence[str], seed: int, number: int) -> str:
    """Return a formula, if possible one that was not tried.

    Parameters
    ----------
    family : str
        The loss that it is for.
    tried : sequence of str
        All formulas so far.
    best : sequence of str
        Those that were trained, from the best score on.
    seed, number : int
        What is drawn depends on these and the formulas alone.

    Examples
    --------
    >>> next_formula("expression", ["-log(p)"], ["-log(p)"], seed=0, number=7) != "-log(p)"
    True

    """
    rng = np.random.default_rng(derive_seed(seed, "formula", number))
    parents, found = list(dict.fromkeys(best))[:PARENTS], ""
    for _ in range(TRIES):
        found = _drawn(rng, parents, VARIABLES[family])
        if found not in tried:
            break
    return found


def _drawn(rng: np.random.Generator, parents: Sequence[str], variables: Sequence[str]) -> str:
    way = rng.random()
    if not parents or way < NEW:
        return random_expression(rng, 3, variables)
    one, other = (parents[int(rng.integers(len(parents)))] for _ in range(2))
    if way < NEW + CROSSED and one != other:
        return crossed(one, other, rng, variables)
    return mutate(one, rng, variables)
