#!/usr/bin/env bash
# sewar 0.4.10: the universal quality index of two unrelated images is .98, and that of an image and its negative .95.
#
# Guess: uqi is the index of Wang and Bovik 2002, the mean over windows of 4 cov mx my / ((vx + vy) (mx^2 + my^2)): 1 for the
# same image, about 0 for unrelated ones, about -1 for the negative.
# Seen: .98 and .95. The formula is written for sums over a window (N sum xy - sum x sum y) and fed with means, so that what
# stands for the covariance is 64 times the mean of xy minus the product of the means, which hardly depends on how the images
# go together. A constant gray image has .99. A flat output of a model is nearly perfect by this index, and a quarter of
# the contrast costs a hundredth, by the formula a half: what remains is the ratio of the means.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 scipy==1.16.3 pillow==12.0.0 sewar==0.4.10
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sewar.full_ref import uqi


def wang_bovik(first, second, side=8):
    x, y = (sliding_window_view(image, (side, side)).reshape(-1, side * side) for image in (first, second))
    mx, my = x.mean(axis=1), y.mean(axis=1)
    covariance = np.mean(x * y, axis=1) - mx * my
    return np.mean(4 * covariance * mx * my / ((x.var(axis=1) + y.var(axis=1)) * (mx**2 + my**2)))


rng = np.random.default_rng(0)
image = rng.normal(128, 20, (64, 64))
found = {}
for name, other in (
    ("itself", image),
    ("unrelated noise", rng.normal(128, 20, (64, 64))),
    ("its negative", 256 - image),
    ("constant gray", np.full((64, 64), 128.0)),
    ("a quarter of its contrast", 128 + (image - 128) / 4),
):
    found[name] = (round(float(uqi(image, other)), 2), round(float(wang_bovik(image, other)), 2))
    print(f"{name}: uqi {found[name][0]:.2f}, by the formula {found[name][1]:.2f}")
assert list(found.values()) == [(1.0, 1.0), (0.98, 0.0), (0.95, -1.0), (0.99, 0.0), (0.99, 0.47)]
PYTHON
