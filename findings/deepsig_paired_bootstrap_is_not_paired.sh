#!/usr/bin/env bash
# deepsig 1.2.8: its "paired bootstrap test" draws the scores of the two models apart from each other.
#
# Guess: bootstrap_test(a, b) resamples pairs, as its documentation and the assertion that both have one length say: a model
# that is better by .5 on each of twenty data sets is significantly better, however much the data sets differ.
# Seen: p is about .4. Each model's scores are drawn with indices of their own, so that the pairs are lost and the spread of
# the data sets stays in the difference; to shuffle one of the two lists changes nothing. The permutation test of the same
# package, which keeps the pairs, gives .001, and the paired t-test less than 1e-9. A gain that is seen on every data set, or
# with every seed, is reported as none.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 scipy==1.16.3 pandas==2.3.3 deepsig==1.2.8
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
from deepsig import bootstrap_test, permutation_test
from scipy.stats import bootstrap, ttest_rel

rng = np.random.default_rng(0)
baseline = rng.normal(70, 5, 20)
better = baseline + 0.5 + rng.normal(0, 0.2, 20)
shuffled = rng.permutation(baseline)
print(f"better on {np.sum(better > baseline)} of 20 data sets")
ours, unpaired = bootstrap_test(better, baseline, seed=0), bootstrap_test(better, shuffled, seed=0)
permuted = permutation_test(better, baseline, seed=0)
student = ttest_rel(better, baseline, alternative="greater").pvalue
low = bootstrap((better - baseline,), np.mean, rng=0).confidence_interval.low
print(f"p of bootstrap_test {ours:.3f}, with one list shuffled {unpaired:.3f}, of permutation_test {permuted:.4f}")
print(f"p of the paired t-test {student:.1e}; scipy's bootstrap of the differences: at least {low:.2f} better")
assert ours > 0.2 and unpaired > 0.2
assert permuted < 0.002 and student < 1e-9 and low > 0.3
PYTHON
