#!/usr/bin/env bash
# mlstatkit 0.1.91: the permutation test of two AUCs depends on the scale of the probabilities: p is .000 or .3 for one pair.
#
# Guess: an AUC depends on the order of a model's scores alone, and so does Permutation_test(..., metric_str="roc_auc"): a
# model whose probabilities are all lower (trained without class weights, say) has the same AUC and the same p-value.
# Seen: it swaps the two models' probabilities of single samples without ranking them first, so a swapped model mixes two
# scales and its AUC is that of the mixture. The AUCs it returns are the same, and the p-value goes from .000 to .26 as the
# better model's odds are divided by 50, to .10 as its probabilities are halved. A permutation of ranks by hand, and the
# package's own DeLong test, find the difference each time.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 scipy==1.16.3 scikit-learn==1.7.2 tqdm==4.67.1 mlstatkit==0.1.91
"$folder/venv/bin/python" -W ignore - 2> "$folder/progress" <<'PYTHON' || { cat "$folder/progress"; exit 1; }
import numpy as np
from MLstatkit import Delong_test, Permutation_test
from scipy.special import expit
from scipy.stats import rankdata

rng = np.random.default_rng(0)
labels = (rng.random(400) < 0.3).astype(int)
base = rng.normal(size=400)
first = 0.9 * labels + base + 0.3 * rng.normal(size=400)
second = 1.2 * labels + base + 0.3 * rng.normal(size=400)


def auc(scores):
    """By the ranks of the positives."""
    positives = labels.sum()
    ranks = rankdata(scores)[labels == 1].sum()
    return (ranks - positives * (positives + 1) / 2) / (positives * (len(labels) - positives))


def by_hand(one, other, times=1000):
    """The permutation test of ranks."""
    one, other = rankdata(one), rankdata(other)
    found = abs(auc(one) - auc(other))
    swaps = rng.random((times, len(labels))) < 0.5
    drawn = [abs(auc(np.where(swap, one, other)) - auc(np.where(swap, other, one))) for swap in swaps]
    return np.mean(np.array(drawn) >= found)


found = {}
for name, one, other in (
    ("one scale", expit(first), expit(second)),
    ("odds of the second divided by 50", expit(first), expit(second - np.log(50))),
    ("second halved", expit(first), expit(second) / 2),
):
    one_auc, other_auc, p, *_ = Permutation_test(labels, one, other, metric_str="roc_auc")
    delong, hand = Delong_test(labels, one, other)[1], by_hand(one, other)
    found[name] = p
    print(f"{name}: AUC {one_auc:.3f} and {other_auc:.3f}, p {p:.3f}", end="; ")
    print(f"DeLong's {delong:.5f}, permutation of ranks by hand {hand:.3f}")
    assert abs(one_auc - auc(first)) < 1e-9 and abs(other_auc - auc(second)) < 1e-9
    assert delong < 0.001 and hand < 0.005
assert found["one scale"] < 0.005 and found["odds of the second divided by 50"] > 0.15 and found["second halved"] > 0.05
PYTHON
