#!/usr/bin/env bash
# uncertainty-calibration 0.1.4: the 90 percent interval of a calibration error goes from the smallest to the largest resample.
#
# Guess: get_calibration_error_uncertainties(probabilities, labels, alpha=0.1), "1-alpha confidence intervals", gives the 90
# percent interval of its bootstrap, from the 5th to the 95th percentile.
# Seen: it passes alpha on to a function that takes it in percent: it is from the .05th to the 99.95th percentile of 100
# resamples, their whole range, half as wide again on average of 20 data sets. alpha=10 gives the 90 percent interval, and
# alpha=0.05 the same as 0.1. Who compares two models by their intervals misses differences.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 scipy==1.16.3 scikit-learn==1.7.2 parameterized==0.9.0 \
    uncertainty-calibration==0.1.4
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import calibration
import numpy as np


def error(probabilities, labels):
    """The expected calibration error with 15 bins of as many samples each."""
    parts = np.array_split(np.argsort(probabilities), 15)
    return sum(abs(probabilities[part].mean() - labels[part].mean()) * len(part) for part in parts) / len(labels)


def theirs(probabilities, labels, alpha):
    np.random.seed(0)
    low, _, high = calibration.get_calibration_error_uncertainties(probabilities, labels, p=1, alpha=alpha)
    return np.array([low, high])


def drawn(seed):
    rng = np.random.default_rng(seed)
    probabilities = rng.random(1000)
    return probabilities, (rng.random(1000) < probabilities**1.5).astype(int)


def intervals(probabilities, labels):
    """The basic bootstrap interval, by hand: 90 percent, and the whole range."""
    np.random.seed(0)
    picks = [np.random.choice(len(labels), len(labels)) for _ in range(100)]
    resamples = [error(probabilities[pick], labels[pick]) for pick in picks]
    twice = 2 * error(probabilities, labels)
    return [(twice - high, twice - low) for low, high in (np.percentile(resamples, (5, 95)), (min(resamples), max(resamples)))]


probabilities, labels = drawn(0)
plain = calibration.get_calibration_error(probabilities, labels, p=1, debias=False)
print(f"calibration error {plain:.3f}, by hand {error(probabilities, labels):.3f}")
assert abs(plain - error(probabilities, labels)) < 1e-9
found = {}
for alpha in (0.1, 0.05, 10):
    found[alpha] = theirs(probabilities, labels, alpha)
    print(f"alpha={alpha}: from {{:.3f}} to {{:.3f}}".format(*found[alpha]))
ninety, whole = map(np.array, intervals(probabilities, labels))
print("by hand: 90 percent from {:.3f} to {:.3f}; smallest to largest from {:.3f} to {:.3f}".format(*ninety, *whole))
assert np.abs(found[10] - ninety).max() < 0.002
assert np.abs(found[0.1] - whole).max() < 0.002 and np.abs(found[0.05] - whole).max() < 0.002
ratios = [np.ptp(theirs(*drawn(seed), 0.1)) / np.ptp(theirs(*drawn(seed), 10)) for seed in range(20)]
print(f"width with 0.1 by that with 10, of 20 data sets: {np.mean(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")
assert 1.3 < np.mean(ratios) < 1.8 and min(ratios) > 1.1
PYTHON
