#!/usr/bin/env bash
# uncertainty-toolbox 0.1.1: recalibrating the quantiles of a biased model doubles its bias.
#
# Guess: with prop_type="quantile" the observed proportion is that of the truths below the predicted quantile, as its
# documentation says, and get_quantile_recalibrator, fitted and applied on the same data, gives quantiles that cover what they
# name (Kuleshov et al. 2018): the median of a model that predicts 1 too high comes down to the middle of the truths.
# Seen: 84 percent of the truths lie below the predicted median, .16 is reported, and the recalibrated median has 98 percent
# below it: it moved from 1 to 2. The residual is taken as prediction minus truth and compared with the quantile of a truth
# minus prediction, so that what is counted is the truths above the quantile on the other side. A model that is too wide but
# not biased is symmetric and is recalibrated well, which hides it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 scipy==1.16.3 scikit-learn==1.7.2 matplotlib==3.10.8 \
    shapely==2.1.2 uncertainty-toolbox==0.1.1
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
from scipy.stats import norm
from uncertainty_toolbox import get_proportion_lists_vectorized
from uncertainty_toolbox.recalibration import get_quantile_recalibrator

size = 4000
truth = norm.ppf((np.arange(size) + 0.5) / size)  # a standard normal, without chance
levels = (0.25, 0.5, 0.75)
covered = {}
for name, mean, spread in (("1 too high", 1.0, 1.0), ("twice too wide", 0.0, 2.0)):
    prediction, deviation = np.full(size, mean), np.full(size, spread)
    expected, observed = get_proportion_lists_vectorized(prediction, deviation, truth, prop_type="quantile")
    recalibrate = get_quantile_recalibrator(prediction, deviation, truth)
    raw = [float(np.mean(truth <= norm.ppf(level, mean, spread))) for level in levels]
    said = [float(np.interp(level, expected, observed)) for level in levels]
    after = [float(np.mean(truth <= recalibrate(prediction, deviation, level))) for level in levels]
    covered[name] = (np.round(raw, 2).tolist(), np.round(said, 2).tolist(), np.round(after, 2).tolist())
    median = recalibrate(prediction, deviation, 0.5)[0]
    print(f"{name}: truths below the quantiles {levels}:", *covered[name][0])
    print(f"  reported {covered[name][1]}, below the recalibrated ones {covered[name][2]}, whose median is {median:.2f}")
assert covered["1 too high"] == ([0.63, 0.84, 0.95], [0.05, 0.16, 0.37], [0.91, 0.98, 1.0])
assert covered["twice too wide"] == ([0.09, 0.5, 0.91], [0.09, 0.5, 0.91], [0.25, 0.5, 0.75])
PYTHON
