#!/usr/bin/env bash
# ranx 0.3.21: the same scores in another order of the dict give another MRR where passages tie.
#
# Guess: a run is a set of scores, so {"d1": 1, "d2": 1} and {"d2": 1, "d1": 1} have one MRR; or ties are broken by id, as
# trec_eval and ir-measures 0.4.3 do (by id, descending).
# Seen: with three tied passages MRR is 1, 1/2 or 1/3 by where the relevant one was put into the dict, and with forty the
# order is neither that of the dict nor of the ids: the one put first comes 21st. An untrained or collapsed retriever, or
# scores in half precision, tie often; two runs with equal scores then differ, and may do so "significantly".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet ranx==0.3.21 ir-measures==0.4.3
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import ir_measures
from ir_measures import RR
from ranx import Qrels, Run, evaluate

relevant = {"q": {"d1": 1}}
found = []
for order in (["d1", "d2", "d3"], ["d2", "d1", "d3"], ["d3", "d2", "d1"]):
    run = {"q": dict.fromkeys(order, 1.0)}
    theirs = ir_measures.calc_aggregate([RR], relevant, run)[RR]
    found.append((float(evaluate(Qrels(relevant), Run(run), "mrr")), theirs))
    print(f"dict in the order {order}: MRR of ranx {found[-1][0]:.3f}, of ir-measures {theirs:.3f}")
forty = ["d1", *(f"e{number}" for number in range(39))]
first = float(evaluate(Qrels(relevant), Run({"q": dict.fromkeys(forty, 1.0)}), "mrr"))
print(f"first of forty in the dict, all tied: MRR of ranx {first:.4f}")
assert [round(ours, 3) for ours, _ in found] == [1.0, 0.5, 0.333]
assert len({theirs for _, theirs in found}) == 1
assert first < 0.1
PYTHON
