#!/usr/bin/env bash
# utilsforecast 0.2.17: cfe has the other sign than it says, and pis, a "measure of bias", is the same with and without bias.
#
# Guess: cfe is the cumulative forecast error, the sum of target minus forecast, "positive values mean under forecast"; pis
# ("periods in stock", Wallstroem and Segerstedt 2010) sums the cumulative errors up to each period, so that a forecast that is
# always 1 too high for 12 periods has 1 + 2 + ... + 12 = 78, and one that is 1 too high and 1 too low in turn 6.
# Seen: a forecast that is always too high has a cfe of +12: the forecast comes first in the difference. Both forecasts have a
# pis of 12: it adds absolute errors, without cumulating them, so that it is the mean absolute error times the number of
# periods and says nothing of bias, nor does spis, which divides it. Forecasters that differ in bias alone come out equal.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 pandas==2.3.3 utilsforecast==0.2.17
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import pandas as pd
from utilsforecast.losses import cfe, mae, pis, spis

periods = 12
target = np.full(periods, 10.0)
models = {"always 1 too high": target + 1, "1 too high, 1 too low": target + (-1.0) ** np.arange(periods)}
frame = pd.DataFrame({"unique_id": "a", "ds": range(100, 100 + periods), "y": target, **models})
train = pd.DataFrame({"unique_id": "a", "ds": range(100), "y": 10.0})
measured = {
    "cfe": cfe(frame, list(models)),
    "pis": pis(frame, list(models)),
    "spis": spis(frame, list(models), train),
    "mae": mae(frame, list(models)),
}
found = {}
for name, forecast in models.items():
    errors = target - forecast
    found[name] = {key: float(table[name].iloc[0]) for key, table in measured.items()}
    paper = {"cumulative forecast error": errors.sum(), "periods in stock": -np.cumsum(errors).sum()}
    found[name].update({key: float(value) for key, value in paper.items()})
    print(f"{name}:", ", ".join(f"{key} {value:g}" for key, value in found[name].items()))
assert list(found["always 1 too high"].values()) == [12.0, 12.0, 1.2, 1.0, -12.0, 78.0]
assert list(found["1 too high, 1 too low"].values()) == [0.0, 12.0, 1.2, 1.0, 0.0, 6.0]
PYTHON
