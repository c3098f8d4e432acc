#!/usr/bin/env bash
# implicit 0.7.3: precision at 10 is 1 for a user whose one liked item comes tenth.
#
# Guess: precision_at_k is the share of the k recommended items that the user liked ("P@K" in its documentation), so 1 of 10
# is .1, averaged over users.
# Seen: 1. The hits of all users are divided by the sum of the smaller of k and the number of liked items: for users with less
# than k items held out, which is nearly all of them, it is recall, pooled over users. With one held-out item (leave one out)
# "precision@10" is the hit rate, ten times what others report, and users with many items count more than those with few.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 scipy==1.16.3 implicit==0.7.3
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.evaluation import precision_at_k
from scipy.sparse import csr_matrix

items, k = 50, 10
model = AlternatingLeastSquares(factors=1)
model.item_factors = -np.arange(items, dtype=np.float32)[:, None]  # recommends items 0, 1, 2, ... to everybody
found = {}
for name, liked in (
    ("one user, likes item 9", [[9]]),
    ("one user, likes items 9 and 20", [[9, 20]]),
    ("two users, like item 9 and items 20 to 29", [[9], list(range(20, 30))]),
):
    users, columns = np.repeat(range(len(liked)), [len(row) for row in liked]), np.concatenate(liked)
    tests = csr_matrix((np.ones(len(columns)), (users, columns)), shape=(len(liked), items))
    model.user_factors = np.ones((len(liked), 1), dtype=np.float32)
    nothing = csr_matrix(tests.shape)
    recommended = model.recommend(0, nothing[0], N=k)[0].tolist()
    assert recommended == list(range(k))
    ours = precision_at_k(model, nothing, tests, K=k, show_progress=False, num_threads=1)
    theirs = np.mean([len(set(recommended) & set(row)) / k for row in liked])
    found[name] = (round(float(ours), 3), round(float(theirs), 3))
    print(f"{name}: precision_at_k {ours:.3f}, share of the ten that is liked {theirs:.3f}")
assert list(found.values()) == [(1.0, 0.1), (0.5, 0.1), (0.091, 0.05)]
PYTHON
