#!/usr/bin/env bash
# pytorch_optimizer 4.1.0, torch 2.14.1: two focal losses of one package take different things, and alpha=1 drops a class.
#
# Guess: FocalLoss and BCEFocalLoss both take logits, as their neighbours in other packages do, and alpha=1 means that no
# class is weighed.
# Seen: FocalLoss takes logits, BCEFocalLoss probabilities. alpha=1 leaves FocalLoss unweighted; in BCEFocalLoss positives
# have alpha and negatives 1 - alpha, so that negatives are not learned at all: their gradient is zero.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 torch==2.14.1 pytorch_optimizer==4.1.0
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from pytorch_optimizer import BCEFocalLoss, FocalLoss

torch.manual_seed(0)
logits, target = torch.randn(16, requires_grad=True), (torch.arange(16) % 2).float()
bce = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
formula = ((1 - torch.exp(-bce)) ** 2 * bce).mean()
ours, theirs = FocalLoss(alpha=1.0, gamma=2.0)(logits, target), BCEFocalLoss(alpha=1.0, gamma=2.0)
print(f"formula {formula:.4f}, FocalLoss of logits {ours:.4f}")
print(f"BCEFocalLoss of logits {theirs(logits, target):.4f}, of probabilities {theirs(logits.sigmoid(), target):.4f}")
(gradient,) = torch.autograd.grad(theirs(logits.sigmoid(), target), logits)
print(f"largest gradient of a positive {gradient[1::2].abs().max():.4f}, of a negative {gradient[::2].abs().max():.4f}")
assert torch.isclose(ours, formula, rtol=1e-4)
assert not torch.isclose(theirs(logits, target), formula, rtol=0.5)
assert gradient[::2].abs().max() == 0 < gradient[1::2].abs().max()
PYTHON
