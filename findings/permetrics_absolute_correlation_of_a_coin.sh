#!/usr/bin/env bash
# permetrics 2.1.0: the "absolute Pearson's correlation coefficient" of a model and unrelated predictions is .64, or 1.
#
# Guess: AR, alias APCC, is the absolute value of the correlation: about 0 for predictions that have nothing to do with the
# truth.
# Seen: the absolute values are taken inside the sum, of each deviation from its mean, so nothing cancels. Two unrelated
# normal variables have 2 / pi = .64, and with a true correlation of .5 it is .72: a tenth of the range is left between
# nothing and a good model. Coin tosses for a balanced yes or no have 1, "best" by the class's table.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 scipy==1.16.3 permetrics==2.1.0
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import math

import numpy as np
from permetrics import RegressionMetric

print("AR", RegressionMetric.SUPPORT["AR"])
assert RegressionMetric.SUPPORT["AR"]["best"] == "1"
rng = np.random.default_rng(0)
truth, noise = rng.normal(size=(2, 100_000))
for correlation in (0.0, 0.5, 0.9, -0.5):
    predicted = correlation * truth + math.sqrt(1 - correlation**2) * noise
    metric = RegressionMetric(truth, predicted)
    # the mean product of the absolute values of two normal variables with that correlation
    expected = 2 / math.pi * (math.sqrt(1 - correlation**2) + correlation * math.asin(correlation))
    measured = abs(np.corrcoef(truth, predicted)[0, 1])
    print(f"correlation {correlation}: numpy's without its sign {measured:.3f}", end=", ")
    print(f"PCC {metric.PCC():.3f}, AR {metric.AR():.3f}, closed form {expected:.3f}")
    assert abs(measured - abs(correlation)) < 0.01 and abs(abs(metric.PCC()) - measured) < 1e-9
    assert abs(metric.AR() - expected) < 0.01
tosses, answers = rng.permuted(np.tile([0.0, 1.0], (2, 500)), axis=1)
metric = RegressionMetric(answers, tosses)
print(f"coin tosses for a yes or no: PCC {metric.PCC():.3f}, AR {metric.AR():.3f}")
assert abs(metric.PCC()) < 0.1 and abs(metric.AR() - 1) < 1e-9
PYTHON
