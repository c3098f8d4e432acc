#!/usr/bin/env bash
# torchmetrics 1.9.0, torch 2.14.1: a relevant passage whose score is 0 or less was not retrieved.
#
# Guess: metrics of ranks read the order of the scores, so that adding a constant to all scores of a query changes nothing.
# Seen: the reciprocal rank of a relevant passage that comes first with the score -.1 is 0, with .9 it is 1; average
# precision, precision and recall at k drop what is not above 0, too, nDCG does not. Cosines, log-probabilities and logits
# are below 0 as a matter of course: the same retriever has MRR 1 or 0 by its last layer.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 torch==2.14.1 torchmetrics==1.9.0
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from torchmetrics.functional.retrieval import (
    retrieval_average_precision,
    retrieval_normalized_dcg,
    retrieval_precision,
    retrieval_recall,
    retrieval_reciprocal_rank,
)

relevant, scores = torch.tensor([True, False, True]), torch.tensor([-0.1, -0.2, -0.3])
metrics = {
    "reciprocal rank": retrieval_reciprocal_rank,
    "average precision": retrieval_average_precision,
    "nDCG": retrieval_normalized_dcg,
    "precision at 1": lambda *each: retrieval_precision(*each, top_k=1),
    "recall at 1": lambda *each: retrieval_recall(*each, top_k=1),
}
found = {name: (float(metric(scores, relevant)), float(metric(scores + 1, relevant))) for name, metric in metrics.items()}
for name, (below, above) in found.items():
    print(f"{name}: {below:.3f} of scores {scores.tolist()}, {above:.3f} of the same scores plus 1")
assert found["reciprocal rank"] == (0.0, 1.0)
assert found["nDCG"][0] == found["nDCG"][1]
PYTHON
