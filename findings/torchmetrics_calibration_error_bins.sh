#!/usr/bin/env bash
# torchmetrics 1.9.0, torch 2.14.1: the expected calibration error with n_bins=15 has sixteen bins.
#
# Guess: fifteen bins of equal width, a confidence of exactly 1 in the last one. 50 predictions of confidence 1 that are
# wrong and 50 of .95 that are right then share a bin: |.975 - .5| = .475.
# Seen: .525. The confidence 1 has a bin of its own: .5 |1 - 0| + .5 |.95 - 1|. In float32 a softmax is exactly 1 from a
# lead of 17 between logits on, so that a loss that drives logits apart is measured by other bins than the others.
# A confidence on an edge goes to the bin on its right: 50 of 14/15 and right beside 50 of .91 and wrong.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torch==2.14.1 torchmetrics==1.9.0
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from torchmetrics.functional.classification import multiclass_calibration_error


def ece(confidence, correct):
    probabilities = torch.stack([confidence, 1 - confidence], 1)
    target = torch.where(correct, 0, 1)
    return float(multiclass_calibration_error(probabilities, target, num_classes=2, n_bins=15))


half = torch.arange(100) < 50
sure = ece(torch.where(half, 1.0, 0.95), ~half)
print(f"sure and wrong beside .95 and right: {sure:.3f}, fifteen bins give .475")
assert abs(sure - 0.525) < 1e-5

edge = ece(torch.where(half, torch.tensor(14 / 15), torch.tensor(0.91)), half)
right_closed = abs(0.5 * (14 / 15 + 0.91) - 0.5)
print(f"on an edge: {edge:.3f}, right-closed bins give {right_closed:.3f}")
assert abs(edge - right_closed) > 0.05
PYTHON
