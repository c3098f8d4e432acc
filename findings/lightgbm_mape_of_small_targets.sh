#!/usr/bin/env bash
# lightgbm 4.7.0: the MAPE of targets below 1 is their mean absolute error.
#
# Guess: metric "mape" (mean_absolute_percentage_error) divides each error by its target, as scikit-learn does and as the
# name says, so that it doesn't depend on the unit of the target.
# Seen: with targets about .15 it is .006 where scikit-learn gives .033 for the same predictions: exactly the mean absolute
# error. Each error is divided by the larger of 1 and the target. Rates and normalized targets have a MAPE that is too small by
# any factor, and the same targets in thousandths have the true one, so that to change the unit changes a measure that is used
# because it has none.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 scipy==1.16.3 scikit-learn==1.7.2 lightgbm==4.7.0
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import lightgbm
import numpy as np
from sklearn.metrics import mean_absolute_error, mean_absolute_percentage_error

rng = np.random.default_rng(0)
features = rng.normal(size=(600, 3))
rates = np.exp(features[:, 0] / 2 - 2)


def train(targets):
    settings = {"objective": "regression", "metric": "mape", "verbose": -1, "seed": 0, "deterministic": True, "num_threads": 1}
    data = lightgbm.Dataset(features[:400], targets[:400])
    tests, record = lightgbm.Dataset(features[400:], targets[400:], reference=data), {}
    trees = lightgbm.train(settings, data, 30, valid_sets=[tests], callbacks=[lightgbm.record_evaluation(record)])
    return trees.predict(features[400:]), record["valid_0"]["mape"][-1]


found = {}
for name, scale in (("rates, about .15", 1), ("the same in thousandths", 1000)):
    predicted, measured = train(scale * rates)
    truth = scale * rates[400:]
    others = mean_absolute_percentage_error(truth, predicted), mean_absolute_error(truth, predicted)
    found[name] = [round(float(value), 4) for value in (measured, *others)]
    print(f"{name}: lightgbm's mape {measured:.4f}, scikit-learn's {others[0]:.4f}, mean absolute error {others[1]:.4f}")
assert found["rates, about .15"] == [0.0063, 0.0331, 0.0063]
assert found["the same in thousandths"] == [0.0331, 0.0331, 6.2885]
PYTHON
