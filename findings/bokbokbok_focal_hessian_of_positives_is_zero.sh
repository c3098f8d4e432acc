#!/usr/bin/env bash
# bokbokbok 1.0.5: the focal loss for boosted trees has a second derivative of zero for every positive sample.
#
# Guess: WeightedFocalLoss(alpha=1, gamma=2) returns the gradient and the second derivative of the focal loss of Lin et al.
# 2017, so that LightGBM with it ranks about as well as with cross-entropy.
# Seen: the gradient is right, but the factor (1 - p)^gamma of the second derivative was written with the label, (1 - y)^gamma,
# which is 0 for each positive unless gamma is 0, where it is right and equals cross-entropy. A leaf of positives takes an
# endless Newton step or is refused: with a fifth of positives the AUC is .91 and the log loss .32, with the derivative of
# its own gradient in its place .93 and .29. The focal loss seems to rank worse than cross-entropy (.93), but doesn't.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 scipy==1.16.3 scikit-learn==1.7.2 lightgbm==4.7.0 bokbokbok==1.0.5
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import lightgbm
import numpy as np
from bokbokbok.loss_functions.classification import WeightedFocalLoss
from scipy.special import expit
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score


class Labels:
    def __init__(self, labels):
        self.labels = labels

    def get_label(self):
        return self.labels


def theirs(outputs, data):
    return WeightedFocalLoss(alpha=1.0, gamma=2.0)(outputs, data)


def derived(outputs, data, step=1e-4):
    """Their gradient, and how fast it changes."""
    ahead, behind = (theirs(outputs + shift, data)[0] for shift in (step, -step))
    return theirs(outputs, data)[0], (ahead - behind) / (2 * step)


outputs, labels = np.array([-2.0, 0.0, 2.0, -2.0, 0.0, 2.0]), np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
given, true = (loss(outputs, Labels(labels))[1].round(3) + 0.0 for loss in (theirs, derived))
print("outputs", *outputs, "labels", *labels)
print("second derivative: given", *given, "derived", *true)
assert given.tolist()[:3] == [0.0, 0.0, 0.0] and true.tolist() == [0.155, 0.399, 0.013, 0.013, 0.399, 0.155]

rng = np.random.default_rng(0)
features = rng.normal(size=(4000, 5))
classes = (rng.random(4000) < expit(3 * features[:, 0] + 2 * features[:, 1] - 3.5)).astype(float)
found = {}
for name, objective in (("given", theirs), ("derived", derived), ("cross-entropy", "binary")):
    settings = {"objective": objective, "num_leaves": 15, "verbose": -1, "seed": 0, "deterministic": True, "num_threads": 1}
    trees = lightgbm.train(settings, lightgbm.Dataset(features[:2000], classes[:2000]), 100)
    scores = trees.predict(features[2000:], raw_score=True)
    truth = classes[2000:]
    measured = (roc_auc_score(truth, scores), average_precision_score(truth, scores), log_loss(truth, expit(scores)))
    found[name] = [round(float(value), 3) for value in measured]
    print(f"{name}: AUC {measured[0]:.3f}, average precision {measured[1]:.3f}, log loss {measured[2]:.3f}")
assert found["given"][0] < 0.92 < 0.93 < found["derived"][0] and found["cross-entropy"][0] > 0.93
assert found["given"][2] > 0.31 > 0.29 > found["derived"][2]
PYTHON
