#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.14.1: FocalLoss of several classes is a tenth of the focal loss of ten classes, or another loss.
#
# Guess: FocalLoss(gamma=2, use_softmax=True, to_onehot_y=True) on logits (N, 10) is the mean over samples of
# (1 - p_y)^2 (-log p_y), and without use_softmax something close to it.
# Seen: the mean is over samples and classes, so it is that number over 10: under SGD ten times less learning rate.
# Without use_softmax, the default, it is ten sigmoid losses, one class against the rest each: .159 times the formula
# here, and its gradient has another direction (cosine .57).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 torch==2.14.1 monai==1.6.1
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from monai.losses import FocalLoss

torch.manual_seed(0)
logits, target = torch.randn(64, 10, requires_grad=True), torch.randint(10, (64,))
log_p = logits.log_softmax(1)[torch.arange(64), target]
formula = ((1 - log_p.exp()) ** 2 * -log_p).mean()
(expected,) = torch.autograd.grad(formula, logits)
ratios = {}
for use_softmax in (True, False):
    value = FocalLoss(gamma=2, use_softmax=use_softmax, to_onehot_y=True)(logits, target[:, None])
    (gradient,) = torch.autograd.grad(value, logits)
    cosine = torch.cosine_similarity(gradient.flatten(), expected.flatten(), 0)
    ratios[use_softmax] = float(value / formula)
    print(f"use_softmax={use_softmax}: {ratios[use_softmax]:.3f} of the formula, cosine of gradients {cosine:.3f}")
assert abs(ratios[True] - 0.1) < 1e-4 and 0.1 < ratios[False] < 0.25
assert cosine < 0.9
PYTHON
