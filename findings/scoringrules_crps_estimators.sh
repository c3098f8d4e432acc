#!/usr/bin/env bash
# scoringrules 0.10.0, properscoring 0.1: the CRPS of an ensemble by its "pwm" estimator is the fair one.
#
# Guess: the estimators of crps_ensemble are ways to compute one number, the CRPS of the empirical distribution; "fair" is
# the exception that its name says.
# Seen: for the members -1, 0, 1 and the observation 0 the default "qd", "nrg" and "int", and properscoring, give 2/9; "pwm"
# and "akr" give 0, as "fair" does. For three members that is all of the score; the difference shrinks as 1/M, so that models with
# ensembles of different sizes, or by different packages, can't be compared.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 scipy==1.16.3 properscoring==0.1 scoringrules==0.10.0
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import properscoring
import scoringrules

observation, members = np.array([0.0]), np.array([[-1.0, 0.0, 1.0]])
print("properscoring", properscoring.crps_ensemble(observation, members))
found = {}
for estimator in ("qd", "nrg", "int", "pwm", "akr", "fair"):
    found[estimator] = float(scoringrules.crps_ensemble(observation, members, estimator=estimator)[0])
    print(f"scoringrules {estimator}: {found[estimator]:.4f}")
assert np.allclose([found[name] for name in ("qd", "nrg", "int")], 2 / 9)
assert np.allclose([found[name] for name in ("pwm", "akr", "fair")], 0)
assert np.allclose(properscoring.crps_ensemble(observation, members), 2 / 9)
PYTHON
