"""Labels that are not known, NaN or -1 in the targets of several labels: they have no part in a loss."""

import torch
from torch import Tensor


def split_known(target: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the labels with 0 for those that are not known (NaN or -1), and the mask of those that are known.

    Where all are known the mask is None. On the CPU that is looked up; elsewhere it would make the device wait.
    """
    known = target >= 0
    if target.device.type == "cpu" and not torch.compiler.is_compiling():
        try:
            if bool(known.all()):
                return target, None
        except RuntimeError:  # under torch.func.vmap no value can be asked for
            pass
    return torch.where(known, target, 0), known


def sum_over_known(terms: Tensor, known: Tensor | None) -> Tensor:
    """Return the sum over the known labels of terms (..., L)."""
    return terms.sum(-1) if known is None else terms.masked_fill(~known, 0).sum(-1)


def mean_over_known(terms: Tensor, known: Tensor | None) -> Tensor:
    """Return the mean over the known labels of terms (..., L); 0 for a sample of which none is known."""
    return terms.mean(-1) if known is None else sum_over_known(terms, known) / known.sum(-1).clamp(min=1)
