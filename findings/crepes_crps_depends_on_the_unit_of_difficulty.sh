#!/usr/bin/env bash
# crepes 0.9.1: the CRPS of the same predictive distributions grows with the unit of the difficulty estimates.
#
# Guess: difficulty estimates (sigmas) that are the same for all samples change nothing, whatever their size: the residuals are
# divided by them and multiplied again, so that intervals and CRPS are those of the system without sigmas, and the CRPS is that
# of an ensemble with the residuals as its members.
# Seen: the intervals are the same; the CRPS is .569 without sigmas or with sigmas of 1, and .555, .702 and 2.03 with .1, 10 and
# 100. The piece of the integral between the two members around the truth is measured in units of the target and then
# multiplied by sigma once more; all other pieces are right. A normalized model whose difficulties are large numbers (as a
# standard deviation of prices) loses against a plain one by nothing but that, and with small ones it wins.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 scipy==1.16.3 pandas==2.3.3 scikit-learn==1.7.2 crepes==0.9.1
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
from crepes import ConformalPredictiveSystem

rng = np.random.default_rng(0)
residuals, truth = rng.normal(size=199), rng.normal(size=400)
prediction = np.zeros(400)
found = {}
for sigma in (None, 0.1, 1.0, 10.0, 100.0):
    ours, test = ({} if sigma is None else {"sigmas": np.full(size, sigma)} for size in (199, 400))
    system = ConformalPredictiveSystem().fit(residuals, seed=0, **ours)
    measured = system.evaluate(prediction, truth, metrics=["CRPS", "eff_mean"], seed=0, **test)
    found[sigma] = (round(float(measured["CRPS"]), 4), round(float(measured["eff_mean"]), 4))
    print(f"sigmas {sigma}: CRPS {found[sigma][0]:.4f}, mean width of the intervals {found[sigma][1]:.4f}")
spread = np.abs(residuals[:, None] - residuals).mean() / 2
ensemble = np.abs(truth[:, None] - residuals).mean() - spread
print(f"CRPS of the residuals as an ensemble {ensemble:.4f}")
widths = {width for _, width in found.values()}
scores = [score for score, _ in found.values()]
assert widths == {4.0051} and scores == [0.5685, 0.5551, 0.5685, 0.7017, 2.0347] and round(ensemble, 4) == 0.5685
PYTHON
