#!/usr/bin/env bash
# miseval 1.3.0: the Hausdorff distance of masks is that of their rows, and the "average" one is the maximum.
#
# Guess: evaluate(truth, prediction, metric="HD") is the largest distance from a pixel of one mask to the other, as in scipy,
# MedPy and MONAI, and "AHD" the mean of these distances, so at most as large.
# Seen: a square that lies 20 rows too low has HD 0, as a perfect one, and 20 columns to the right 3.16, the root of its 10
# pixels in a row. The masks are handed to a function that takes lists of points, so that each row of the image is a point.
# AHD is 20 for both, also where all is right but one pixel that is 20 away: it is the Hausdorff distance, not an average.
# Models are ranked by something else than HD, and this AHD can't be compared with that of others.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 scipy==1.16.3 scikit-learn==1.7.2 numba==0.63.1 \
    hausdorff==0.2.6 MedPy==0.5.2 miseval==1.3.0
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
from medpy.metric import binary
from miseval import evaluate
from scipy.spatial.distance import directed_hausdorff


def square(row, column):
    mask = np.zeros((64, 64), dtype=int)
    mask[row : row + 10, column : column + 10] = 1
    return mask


def pixels(mask):
    return np.argwhere(mask)


truth = square(10, 10)
speck = truth.copy()
speck[14, 39] = 1
found = {}
for name, prediction in (
    ("perfect", truth),
    ("20 rows too low", square(30, 10)),
    ("20 columns to the right", square(10, 30)),
    ("perfect, and one pixel 20 away", speck),
):
    ours, average = (float(evaluate(truth, prediction, metric=metric, provided_prob=False)) for metric in ("HD", "AHD"))
    pairs = ((pixels(truth), pixels(prediction)), (pixels(prediction), pixels(truth)))
    theirs = max(directed_hausdorff(*pair)[0] for pair in pairs)
    mean = binary.assd(truth, prediction)
    found[name] = [round(value, 2) for value in (ours, average, theirs, mean)]
    print(f"{name}: HD {ours:.2f}, AHD {average:.2f}; scipy's Hausdorff {theirs:.2f}, MedPy's average {mean:.2f}")
assert [values[0] for values in found.values()] == [0.0, 0.0, 3.16, 1.0]
assert [values[1] for values in found.values()] == [0.0, 20.0, 20.0, 20.0]
assert [values[2] for values in found.values()] == [0.0, 20.0, 20.0, 20.0]
assert found["perfect, and one pixel 20 away"][3] < 1
PYTHON
