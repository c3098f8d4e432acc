#!/usr/bin/env bash
# lightgbm 4.7.0: the metric "gamma_deviance" is a sum over the samples: 53 on a hundred of them, 2798 on five thousand.
#
# Guess: like its other metrics, and scikit-learn's mean_gamma_deviance, it is a mean over the samples, so that the values of
# a training and a validation set, or of folds of different sizes, can be compared.
# Seen: it is twice the sum, the residual deviance of statistics, while the likelihood "gamma" beside it in the same log is a
# mean. The model's mean deviance is .53 on the smaller set and .56 on the larger. A training set of thousands of rows seems
# many times worse than a validation set of a hundred, however overfit the model, and a mean over folds or tasks of different
# sizes is that of the largest.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 scipy==1.16.3 lightgbm==4.7.0
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import lightgbm
import numpy as np

rng = np.random.default_rng(0)
features = rng.normal(size=(10_000, 3))
truth = rng.gamma(2, np.exp(features[:, 0]) / 2)
train = lightgbm.Dataset(features[5000:], truth[5000:])
parts = {"a hundred": slice(0, 100), "a thousand": slice(0, 1000), "five thousand": slice(0, 5000)}
settings = {"objective": "gamma", "metric": ["gamma_deviance", "gamma"], "num_leaves": 15, "verbose": -1, "num_threads": 1}
settings |= {"deterministic": True, "seed": 0}
log = {}
sets = [lightgbm.Dataset(features[part], truth[part], reference=train) for part in parts.values()]
trees = lightgbm.train(settings, train, 50, sets, list(parts), callbacks=[lightgbm.record_evaluation(log)])
means = []
for name, part in parts.items():
    ratio = truth[part] / trees.predict(features[part])
    deviances = 2 * (ratio - np.log(ratio) - 1)
    given = {metric: values[-1] for metric, values in log[name].items()}
    means.append(deviances.mean())
    print(f"{name}: gamma_deviance {given['gamma_deviance']:.3f}, gamma {given['gamma']:.3f}", end="; ")
    print(f"deviance by hand: mean {deviances.mean():.3f}, sum {deviances.sum():.3f}")
    assert abs(given["gamma_deviance"] / deviances.sum() - 1) < 1e-5 and given["gamma"] < 1.1
assert max(means) - min(means) < 0.05
PYTHON
