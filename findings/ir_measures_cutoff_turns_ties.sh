#!/usr/bin/env bash
# ir-measures 0.4.3: RR and RR@100 of three documents differ where they tie.
#
# Guess: a cutoff beyond the number of documents changes nothing, so RR@100 of a run of three documents is RR.
# Seen: 1/3 and 1. The measures are computed by different programs behind one interface, and these break ties the other way
# round: RR by the larger name first (trec_eval), RR@100 by the smaller one first. A retriever with ties, or one that
# collapsed, is judged by the names of the documents, and by which of the two measures was asked for.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet ir-measures==0.4.3
"$folder/venv/bin/python" - <<'PYTHON'
import ir_measures
from ir_measures import RR

run = {"q": {f"d{number}": 0.5 for number in range(3)}}
found = {}
for relevant in ("d0", "d2"):
    values = ir_measures.calc_aggregate([RR, RR @ 100], {"q": {relevant: 1}}, run)
    found[relevant] = (values[RR], values[RR @ 100])
    print(f"three documents tie, {relevant} is relevant: RR {values[RR]:.3f}, RR@100 {values[RR @ 100]:.3f}")
assert [round(value, 3) for value in found["d0"]] == [0.333, 1.0]
assert [round(value, 3) for value in found["d2"]] == [1.0, 0.333]
PYTHON
