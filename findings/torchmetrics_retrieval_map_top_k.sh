#!/usr/bin/env bash
# torchmetrics 1.9.0, torch 2.14.1: MAP@k divides by the relevant passages that were found, so that missing the rest is free.
#
# Guess: RetrievalMAP(top_k=2) of a query with three relevant passages, of which one is found first and none second, is
# 1/3 (trec_eval, ranx 0.3.21) or 1/2 (over min(relevant, k)).
# Seen: 1.0. It is the precision at the hits, over the hits among the first k. A retriever that finds one passage of many
# at rank 1 is perfect, and a better one that finds a second at rank 3 of 3 has a lower value: .833.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 torch==2.14.1 torchmetrics==1.9.0 ranx==0.3.21
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from ranx import Qrels, Run, evaluate
from torchmetrics.retrieval import RetrievalMAP

scores, one = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5]), torch.zeros(5, dtype=torch.long)


def both(relevant, k):
    theirs = float(RetrievalMAP(top_k=k)(scores, torch.tensor(relevant), indexes=one))
    names = {f"d{number}": float(score) for number, score in enumerate(scores)}
    judged = {f"d{number}": 1 for number, is_relevant in enumerate(relevant) if is_relevant}
    return theirs, float(evaluate(Qrels({"q": judged}), Run({"q": names}), f"map@{k}"))


fewer, more = both([1, 0, 0, 1, 1], 2), both([1, 0, 1, 0, 1], 3)
print(f"one of three relevant found, at rank 1, k = 2: torchmetrics {fewer[0]:.3f}, ranx {fewer[1]:.3f}")
print(f"two of three found, at ranks 1 and 3, k = 3: torchmetrics {more[0]:.3f}, ranx {more[1]:.3f}")
assert fewer[0] == 1.0 and abs(more[0] - 5 / 6) < 1e-6
assert abs(fewer[1] - 1 / 3) < 1e-6 and more[1] > fewer[1]
PYTHON
