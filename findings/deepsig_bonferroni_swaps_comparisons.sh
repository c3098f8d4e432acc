#!/usr/bin/env bash
# deepsig 1.2.8: the corrected p-values come back in the places of other comparisons, and the largest is not corrected.
#
# Guess: bonferroni_correction multiplies every p-value by their number, at most 1, and keeps their order:
# .04, .5, .001 become .12, 1, .003, so that the third comparison is significant at .05.
# Seen: .5, .003, .08: the second, whose p-value is .5, is the significant one, and the third is not. The values are sorted,
# corrected, and then sorted again by the same permutation rather than put back by its inverse (a swap of two, or values that
# are sorted already, hide this). And what is corrected is a chain of partial conjunctions: the u-th smallest of N is
# multiplied by N - u + 1, so that .02, .021, .022, .03 become .08, .063, .044, .03: the two largest are significant, the two
# smaller ones are not, where Bonferroni and Holm reject none.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 scipy==1.16.3 pandas==2.3.3 deepsig==1.2.8 statsmodels==0.14.6
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
from deepsig import bonferroni_correction
from statsmodels.stats.multitest import multipletests

found = {}
for values in ([0.04, 0.5, 0.001], [0.001, 0.04, 0.5], [0.02, 0.021, 0.022, 0.03]):
    found[tuple(values)] = ours = bonferroni_correction(values)
    theirs = {name: multipletests(values, method=name)[1].round(4).tolist() for name in ("bonferroni", "holm")}
    print(f"{values}: deepsig {ours.round(4).tolist()}, statsmodels {theirs}")
assert np.allclose(found[0.04, 0.5, 0.001], [0.5, 0.003, 0.08])
assert np.allclose(found[0.001, 0.04, 0.5], [0.003, 0.08, 0.5])
assert np.allclose(found[0.02, 0.021, 0.022, 0.03], [0.08, 0.063, 0.044, 0.03])
PYTHON
