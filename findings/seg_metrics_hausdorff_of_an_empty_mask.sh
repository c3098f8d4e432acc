#!/usr/bin/env bash
# seg-metrics 1.2.8: a model that finds nothing has a Hausdorff distance of 0, as a perfect one.
#
# Guess: where the truth has an organ and the prediction is empty, the surface distances hd, hd95 and msd are infinite, NaN or
# left out, as with surface-distance (infinite) and MedPy (an error).
# Seen: 0, all three, with Dice 0. The distance map of an empty mask is set to 0 everywhere, so that each point of the truth is
# at distance 0 from a prediction that doesn't exist; a prediction one voxel off has 1, and one with a stray voxel only 24.2. In
# a mean over patients those in which the model saw nothing count as perfect: the loss that gives up most has the best HD95.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 scipy==1.16.3 pandas==2.3.3 matplotlib==3.10.8 tqdm==4.67.1 \
    SimpleITK==2.5.3 medutils==0.1.21
"$folder/venv/bin/python" -m pip install --quiet --no-deps seg-metrics==1.2.8  # the rest is for its tests and its window
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import contextlib
import io
import logging

import numpy as np
from seg_metrics.seg_metrics import write_metrics

logging.disable(logging.CRITICAL)
organ = np.zeros((20, 20, 20), dtype=int)
organ[5:12, 5:12, 5:12] = 1
stray = np.zeros_like(organ)
stray[19, 19, 19] = 1
found = {}
for name, prediction in (
    ("perfect", organ),
    ("one voxel off", np.roll(organ, 1, axis=0)),
    ("a stray voxel only", stray),
    ("empty", np.zeros_like(organ)),
):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        measured = write_metrics(labels=[1], gdth_img=organ, pred_img=prediction, spacing=[1, 1, 1])
    values = {key: float(np.ravel(measured[0][key])[0]) for key in ("dice", "hd", "hd95", "msd")}
    found[name] = [round(value, 2) for value in values.values()]
    print(f"{name}:", ", ".join(f"{key} {value:.2f}" for key, value in values.items()))
assert found["perfect"] == [1.0, 0.0, 0.0, 0.0]
assert found["one voxel off"] == [0.86, 1.0, 1.0, 0.34]
assert found["a stray voxel only"] == [0.0, 24.25, 22.65, 19.3]
assert found["empty"] == [0.0, 0.0, 0.0, 0.0]
PYTHON
