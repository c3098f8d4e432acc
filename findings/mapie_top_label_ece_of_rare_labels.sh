#!/usr/bin/env bash
# MAPIE 1.6.0: the top-label calibration error counts a label predicted 10 times as much as one predicted 990 times.
#
# Guess: top_label_ece is the expectation over samples of Gupta and Ramdas 2021, so that 990 calibrated predictions of one label
# and 10 of another that are off by .5 give .005; and num_bins=10 of expected_calibration_error are ten bins of a tenth.
# Seen: .25, the plain mean over labels, so that a few predictions of a rare class decide which model is calibrated. With
# num_bins there are num_bins edges, from 0 to 1, so one bin less than asked for: with 2 bins a model that is .25 too low on one
# half of the samples and .25 too high on the other has an error of 0, by Naeini et al. 2015 .25, and 10 bins are 9.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 scipy==1.16.3 scikit-learn==1.7.2 mapie==1.6.0
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
from mapie.metrics.calibration import expected_calibration_error, top_label_ece


def calibration_error(correct, confidence, bins):
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(np.sum(correct[index == i] - confidence[index == i])) for i in range(bins)]
    return sum(gaps) / len(correct)


labels = np.repeat([0, 1], [990, 10])
confidence = np.repeat([0.8, 0.9], [990, 10])
right = np.concatenate([np.arange(990) % 5 != 0, np.arange(10) % 5 < 2])
truth = np.where(right, labels, 2)
ours = top_label_ece(truth, confidence, labels, num_bins=10, split_strategy="uniform")
each = [calibration_error(right[labels == k], confidence[labels == k], 10) for k in (0, 1)]
theirs = np.dot([0.99, 0.01], each)
print(f"errors of the two labels {each[0]:.2f} and {each[1]:.2f}, predicted 990 and 10 times")
print(f"top_label_ece {ours:.3f}, by the formula {theirs:.3f}")
assert [round(float(value), 3) for value in (*each, ours, theirs)] == [0.0, 0.5, 0.25, 0.005]

confidence = np.repeat([0.25, 0.75], 500)
correct = np.tile([0, 1], 500)
found = {}
for bins in (2, 3):
    found[bins] = [
        float(expected_calibration_error(correct, confidence, num_bins=bins, split_strategy="uniform")),
        float(calibration_error(correct, confidence, bins)),
    ]
    print(f"num_bins={bins}: expected_calibration_error {found[bins][0]:.2f}, with {bins} bins {found[bins][1]:.2f}")
assert found == {2: [0.0, 0.25], 3: [0.25, 0.25]}
confidence = np.repeat([0.895, 0.95], 500)
correct = np.concatenate([np.arange(500) % 10 < 7, np.ones(500)]).astype(int)
ours = float(expected_calibration_error(correct, confidence, num_bins=10, split_strategy="uniform"))
nine, ten = (float(calibration_error(correct, confidence, bins)) for bins in (9, 10))
print(f"num_bins=10: {ours:.4f}, with 9 bins {nine:.4f}, with 10 bins {ten:.4f}")
assert [round(value, 4) for value in (ours, nine, ten)] == [0.0725, 0.0725, 0.1225]
PYTHON
