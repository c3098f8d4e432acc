#!/usr/bin/env bash
# model-confidence-set 0.1.3: the "model indices" in the confidence set are one too high, and the p-values not in their order.
#
# Guess: after compute(), included is "an array of model indices that are included", columns of the losses, and pvalues "the
# p-values associated with each model", in the order of the columns.
# Seen: included counts from 1, in floats, also for a data frame with names: losses[:, included] is the neighbour of the best
# model, or out of bounds. pvalues are in the order in which models were dropped, so the last is always 1: the last
# column seems the best. Only results() puts names to them. The bootstrap is by blocks also where "stationary" is asked for,
# the default: the function chosen is never called.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 pandas==2.3.3 numba==0.62.1 tqdm==4.67.1 \
    model-confidence-set==0.1.3
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import pandas as pd
from model_confidence_set import ModelConfidenceSet

rng = np.random.default_rng(0)
shared = rng.normal(1, 0.1, (500, 1))
losses = pd.DataFrame(shared + rng.normal(0, 0.1, (500, 4)) + [0.2, 0.0, 0.1, 0.3], columns=["a", "best", "c", "worst"])
print("mean losses", losses.mean().round(2).to_dict())
best = int(losses.mean().argmin())
for given in (losses, losses.to_numpy()):
    found = ModelConfidenceSet(given, n_boot=1000, bootstrap_variant="stationary")
    found.bootstrap = None  # the chosen bootstrap; compute() doesn't miss it
    found.compute()
    print(f"{type(given).__name__}: best column {best}, included {found.included.tolist()}", end=", ")
    print(f"excluded {found.excluded.tolist()}, pvalues {found.pvalues.tolist()}")
    assert best == 1 and found.included.tolist() == [2.0] and found.excluded.tolist() == [4.0, 1.0, 3.0]
    assert found.pvalues.tolist() == [0.0, 0.0, 0.0, 1.0]
    named = found.results()["pvalues"]
    assert named.iloc[-1] == 1 and named.index[-1] == ("best" if given is losses else 2)
taken = losses.columns[found.included.astype(int)].tolist()
by_pvalues = losses.columns[found.pvalues.argmax()]
print(f"columns[included] is {taken}; columns[pvalues.argmax()] is {by_pvalues}")
assert taken == ["c"] and by_pvalues == "worst"
PYTHON
