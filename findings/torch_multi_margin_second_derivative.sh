#!/usr/bin/env bash
# torch 2.14.1: the multiclass hinge of torch has a gradient and no second derivative.
#
# Guess: a piecewise linear loss of an autograd library can be differentiated twice (to zero), as relu can.
# Seen: multi_margin_loss raises when it is differentiated twice, so curvature, gradient penalties, influence functions and
# balancing by gradients (GradNorm) stop there. The same loss from relu and gather can be differentiated.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 torch==2.14.1
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from torch.nn import functional as F

logits, target = torch.randn(4, 3, dtype=torch.float64, requires_grad=True), torch.tensor([0, 1, 2, 0])


def by_hand(logits, target):
    margins = F.relu(1 + logits - logits.gather(1, target[:, None]))
    return (margins.sum(1) - 1).mean() / logits.shape[1]


assert torch.isclose(F.multi_margin_loss(logits, target), by_hand(logits, target))
for loss in (by_hand, F.multi_margin_loss):
    (gradient,) = torch.autograd.grad(loss(logits, target), logits, create_graph=True)
    try:
        torch.autograd.grad((gradient**2).sum(), logits, allow_unused=True)
        told = "differentiated twice"
    except RuntimeError as error:
        told = str(error).splitlines()[0]
    print(f"{loss.__name__}: {told}")
assert "not implemented" in told
PYTHON
