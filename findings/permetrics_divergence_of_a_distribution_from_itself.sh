#!/usr/bin/env bash
# permetrics 2.1.0: the Jensen-Shannon divergence of a distribution with a zero from itself is 1, the largest there is, and a
# prediction that excludes what happens has a cross-entropy of -1, less than that of any other.
#
# Guess: a divergence of a distribution from itself is 0; a cross-entropy of a prediction of 0 for what happens is infinite, or
# very large where it is clipped, and 0 log 0 counts as 0.
# Seen: one probability of 0 on either side, and the result is a constant whatever the rest: 0 log 0 is NaN, and NaN and
# infinity are replaced ("force_finite") by 1 for the Jensen-Shannon divergence, where it marks a perfect prediction as the
# worst, and by -1 for the Kullback-Leibler divergence and the cross-entropy, where less is better and the class's table says
# "min", from 0: the worst prediction becomes the best of all, better than a perfect one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 scipy==1.16.3 permetrics==2.1.0
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import math

import numpy as np
from permetrics import RegressionMetric

SUPPORT = RegressionMetric.SUPPORT
print({name: SUPPORT[name] for name in ("JSD", "KLD", "CE")})
assert SUPPORT["KLD"]["type"] == SUPPORT["CE"]["type"] == "min" and SUPPORT["KLD"]["range"] == "[0, +inf)"


def divergence(true, predicted):
    """The Kullback-Leibler divergence in bits."""
    terms = [t * math.log2(t / p) if p else math.inf for t, p in zip(true, predicted) if t]
    return sum(terms)


def by_hand(true, predicted):
    middle = [(t + p) / 2 for t, p in zip(true, predicted)]
    crossed = sum(-t * math.log2(p) if p else math.inf for t, p in zip(true, predicted) if t)
    return (divergence(true, middle) + divergence(predicted, middle)) / 2, divergence(true, predicted), crossed


found = {}
for name, true, predicted in (
    ("itself", [0.5, 0.5, 0.0], [0.5, 0.5, 0.0]),
    ("itself, without a zero", [0.5, 0.3, 0.2], [0.5, 0.3, 0.2]),
    ("half of it elsewhere", [0.5, 0.5, 0.0], [0.25, 0.25, 0.5]),
    ("what happens is excluded", [0.25, 0.25, 0.5], [0.5, 0.5, 0.0]),
):
    metric = RegressionMetric(true, predicted)
    theirs = [round(float(getattr(metric, measure)()), 3) for measure in ("JSD", "KLD", "CE")]
    hand = [round(value, 3) for value in by_hand(true, predicted)]
    found[name] = theirs, hand
    print(f"{true} and {predicted} ({name}): JSD, KLD, CE", *theirs, "by hand", *hand)
assert found["itself"] == ([1.0, -1.0, -1.0], [0.0, 0.0, 1.0])
assert found["itself, without a zero"] == ([0.0, 0.0, 1.485], [0.0, 0.0, 1.485])
assert found["half of it elsewhere"] == ([1.0, -1.0, 2.0], [0.311, 1.0, 2.0])
assert found["what happens is excluded"] == ([1.0, -1.0, -1.0], [0.311, np.inf, np.inf])
PYTHON
