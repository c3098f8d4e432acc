#!/usr/bin/env bash
# autorank 1.3.0: effect sizes are those against the worst model, or against the best one, by the kind of test.
#
# Guess: as its documentation says ("in comparison to the highest mean value", "the highest ranking approach"; in its example
# the best comes first, with an effect of 0), effect_size is the distance from the best model.
# Seen: with frequentist tests and the default order "descending" (accuracies) the table begins with the worst, which has
# effect 0 and is "negligible", and a model that equals the best is "large", as is the best one. With order="ascending"
# (losses of the same runs), or the Bayesian tests, it is the other way round. Who reads the column finds the worst model as
# good as the best, and the effects of accuracies and of losses don't belong together.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 scipy==1.16.3 pandas==2.3.3 statsmodels==0.14.6 \
    matplotlib==3.10.8 baycomp==1.0.3 autorank==1.3.0
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import contextlib
import io

import numpy as np
import pandas as pd
from autorank import autorank

rng = np.random.default_rng(0)
sets = rng.normal(0.8, 0.05, 20)
accuracy = pd.DataFrame({"poor": sets - 0.2, "good": sets - 0.002, "best": sets}) + rng.normal(0, 0.02, (20, 3))
print("mean accuracies", accuracy.mean().round(3).to_dict())
found = {}
for name, values, settings in (
    ("accuracy, frequentist", accuracy, {}),
    ("accuracy, nonparametric", accuracy, {"force_mode": "nonparametric"}),
    ("accuracy, bayesian", accuracy, {"approach": "bayesian", "random_state": 0}),
    ("loss = 1 - accuracy, frequentist", 1 - accuracy, {"order": "ascending"}),
):
    with contextlib.redirect_stdout(io.StringIO()):
        table = autorank(values, **settings).rankdf
    found[name] = table["magnitude"].to_dict()
    print(f"{name}:", ", ".join(f"{model} {row.effect_size:.2f} {row.magnitude}" for model, row in table.iterrows()))
against_the_worst = {"poor": "negligible", "good": "large", "best": "large"}
against_the_best = {"poor": "large", "good": "negligible", "best": "negligible"}
assert found["accuracy, frequentist"] == found["accuracy, nonparametric"] == against_the_worst
assert found["accuracy, bayesian"] == found["loss = 1 - accuracy, frequentist"] == against_the_best
PYTHON
