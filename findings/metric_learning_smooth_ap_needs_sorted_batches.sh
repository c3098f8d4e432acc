#!/usr/bin/env bash
# pytorch-metric-learning 2.9.0, torch 2.14.1: SmoothAPLoss takes neighbours in the batch for positives, not equal labels.
#
# Guess: the loss of a batch does not depend on the order of its samples, and is near 0 where each class is a point of its
# own, far from the others.
# Seen: labels are only counted. With four samples a class the loss takes each four that lie side by side for a class: the
# same samples in another order have another loss, shuffled batches (a plain DataLoader) train towards nonsense without a
# word, and classes that are perfectly apart have a higher loss when shuffled (.61) than random vectors in blocks (.43).
# A batch whose classes differ in size is refused; equal sizes in any order are taken.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 torch==2.14.1 pytorch-metric-learning==2.9.0
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from pytorch_metric_learning.losses import SmoothAPLoss

loss = SmoothAPLoss()
generator = torch.Generator().manual_seed(0)
labels = torch.arange(3).repeat_interleave(4)
order = torch.randperm(12, generator=generator)
random, apart = torch.randn(12, 8, generator=generator), torch.eye(8)[labels]
values = {
    "random vectors, classes in blocks": loss(random, labels),
    "the same samples, shuffled": loss(random[order], labels[order]),
    "classes apart, in blocks": loss(apart, labels),
    "the same samples, shuffled ": loss(apart[order], labels[order]),
}
for name, value in values.items():
    print(f"{name}: {float(value):.3f}")
blocks, shuffled, apart_blocks, apart_shuffled = (float(value) for value in values.values())
assert abs(blocks - shuffled) > 0.01 and apart_shuffled > apart_blocks + 0.1 and apart_shuffled > blocks
PYTHON
