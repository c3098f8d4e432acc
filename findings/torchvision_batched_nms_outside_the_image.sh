#!/usr/bin/env bash
# torchvision 0.29.1, torch 2.14.1: batched_nms lets boxes of different classes suppress each other near the left edge.
#
# Guess: batched_nms never suppresses across classes, wherever boxes lie: a box that a detector predicts partly outside
# of the image, as at its left and upper edges, is kept beside an equal one of another class.
# Seen: classes are kept apart by shifts of the largest coordinate of all boxes + 1. Boxes that reach further to the left
# of 0 than that still overlap after the shift: of two equal boxes (-30, -30, 4, 4) of classes 0 and 1 one is lost, and
# of (-9, -9, -1, -1) too, where the shift is 0. Whether it happens depends on the other boxes of the batch: one far to
# the right makes it go away. Boxes that are cut to the image before are safe.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 torch==2.14.1 torchvision==0.29.1
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from torchvision.ops import batched_nms

scores, classes = torch.tensor([0.9, 0.8]), torch.tensor([0, 1])
outside = torch.tensor([[-30.0, -30, 4, 4]] * 2)
kept = batched_nms(outside, scores, classes, 0.5).tolist()
print("partly outside, classes 0 and 1:", kept)
behind = batched_nms(torch.tensor([[-9.0, -9, -1, -1]] * 2), scores, classes, 0.5).tolist()
print("outside, classes 0 and 1:", behind)
cut = batched_nms(outside.clamp(min=0), scores, classes, 0.5).tolist()
print("cut to the image:", cut)
far = torch.cat([outside, torch.tensor([[90.0, 90, 99, 99]])])
with_another = batched_nms(far, torch.tensor([0.9, 0.8, 0.1]), torch.tensor([0, 1, 0]), 0.5).tolist()
print("with another box at (90, 90, 99, 99):", with_another)
assert kept == [0] and behind == [0], "it keeps both now"
assert cut == [0, 1] and with_another == [0, 1, 2]
PYTHON
