"""Rules of torchjd 0.18, made when they are asked for, and what their input is brought to first."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from lossbench.errors import ConfigError

_RANK = 1e-13


def rule(name: str, **settings: Any) -> Any:
    """Make a weighting or an aggregator of torchjd."""
    try:
        from torchjd import aggregation

        return getattr(aggregation, name)(**settings)
    except ImportError as error:
        raise _missing(error) from error


def projector() -> Any:
    """Make what solves the quadratic programs of torchjd's projections; its defaults regularise by 1e-4."""
    try:
        from torchjd.linalg import QuadprogProjector

        return QuadprogProjector(norm_eps=0.0, reg_eps=1e-8)
    except ImportError as error:
        raise _missing(error) from error


def _missing(error: ImportError) -> ConfigError:
    return ConfigError(
        f"combine: methods by gradient need torchjd, which is not installed as they need it ({error}). "
        "pip install '.[balance]', or combine by value: combine=famo, gradnorm, uncertainty, dwa, ..."
    )


def projected(found: Any, gramian: Tensor) -> Tensor:
    """Return the weights (T,) of a projection of the mean, found among gradients of norm 1."""
    cosines, inverse = with_norm_one(gramian)
    norms = gramian.diagonal().sqrt()
    found.pref_vector = norms / norms.max()
    return found(cosines) * inverse * norms.max() / len(norms)


def with_norm_one(gramian: Tensor) -> tuple[Tensor, Tensor]:
    """Return the products (T, T) of gradients scaled to norm 1, and the scales (T,); those of 0 stay 0."""
    norms = gramian.diagonal().sqrt()
    inverse = torch.where(norms > 0, 1 / norms, 0.0)
    return gramian * inverse * inverse[:, None], inverse


def root(gramian: Tensor) -> Tensor:
    """Return T rows of length T with these products; directions that are rounding only are left out."""
    values, vectors = torch.linalg.eigh(gramian)
    values = torch.where(values > _RANK * values.max(), values, 0.0)
    return vectors * values.sqrt()


@contextmanager
def own_draws(seed: int, device: torch.device) -> Iterator[None]:
    """Let draws from torch's global generators be those of a seed, and the generators go on as if nothing was drawn."""
    others = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=others):
        torch.default_generator.manual_seed(seed)
        for each in others:
            torch.cuda.default_generators[each.index].manual_seed(seed)
        yield
