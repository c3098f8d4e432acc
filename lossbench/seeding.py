"""Random streams: a generator of its own for every purpose, derived from a seed and the name of the purpose.

Two purposes never share draws, so code that draws once more changes nothing elsewhere. Nothing here or in the code that
uses it touches a global generator.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Derive the seed of one purpose: the first 63 bits of a SHA-256, the same on every machine and version.

    Parameters
    ----------
    seed : int
        The seed that the user gave.
    *purpose : str or int
        What the draws are for, e.g. "order", epoch.

    Returns
    -------
    int
        In [0, 2**63).

    Examples
    --------
    >>> derive_seed(0, "order", 1) == derive_seed(0, "order", 2)
    False

    """
    digest = hashlib.sha256(repr((int(seed), *purpose)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def numpy_stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """Return a fresh NumPy generator for one purpose; see `derive_seed`."""
    return np.random.default_rng(derive_seed(seed, *purpose))


def torch_stream(seed: int, *purpose: str | int) -> "torch.Generator":
    """Return a fresh torch generator on the CPU for one purpose; see `derive_seed`."""
    import torch

    return torch.Generator().manual_seed(derive_seed(seed, *purpose))
