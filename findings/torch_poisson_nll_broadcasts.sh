#!/usr/bin/env bash
# torch 2.14.1: poisson_nll_loss, with a target of one more axis, is the mean over all pairs, without the warning of mse_loss.
#
# Guess: like mse_loss and l1_loss it warns when the target has another shape than the input.
# Seen: a model's rates (N,) and a column of counts (N, 1), as they come from a data frame, become N x N pairs in silence.
# The loss still falls and training runs; what is learned is the mean.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 torch==2.14.1
"$folder/venv/bin/python" - <<'PYTHON'
import warnings

import torch
from torch.nn import functional as F

outputs, counts = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([[1.0], [3.0], [7.0]])


def warned(loss):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        shape = tuple(loss(outputs, counts, reduction="none").shape)
    print(f"{loss.__name__}: shape {shape}, {len(seen)} warnings")
    return shape, len(seen)


assert warned(F.mse_loss) == ((3, 3), 1)
assert warned(F.poisson_nll_loss) == ((3, 3), 0)
assert F.poisson_nll_loss(outputs, counts) != F.poisson_nll_loss(outputs, counts[:, 0])
PYTHON
