#!/usr/bin/env bash
# lightgbm 4.7.0: a query without relevant documents has an NDCG, and a MAP, of 1.
#
# Guess: such queries have no ideal gain to divide by, and are left out or count 0, as in trec_eval and scikit-learn.
# Seen: they count 1, so that a test set of which half the queries have no relevant document has at least .5 whatever the
# ranking is: the worst possible one has .68, .36 over the queries that have something to find. Models and losses are drawn
# together, early stopping sees half of each gain, and a data set with more empty queries looks easier.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 scipy==1.16.3 scikit-learn==1.7.2 lightgbm==4.7.0
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import lightgbm
import numpy as np
from sklearn.metrics import ndcg_score

queries, documents = 40, 10
rng = np.random.default_rng(0)
relevant = np.zeros((queries, documents), dtype=int)
relevant[: queries // 2] = rng.permuted(np.tile([1, 1, 0, 0, 0, 0, 0, 0, 0, 0], (queries // 2, 1)), axis=1)
noise = rng.random(relevant.shape) / 10
settings = {"objective": "lambdarank", "metric": ["ndcg", "map"], "eval_at": [10], "verbose": -1, "num_threads": 1}


def measure(scores):
    """What LightGBM says of these scores: they are where boosting starts, and the one tree adds next to nothing."""
    data = lightgbm.Dataset(noise.reshape(-1, 1), relevant.ravel(), group=[documents] * queries, init_score=scores.ravel())
    record = {}
    lightgbm.train(
        {**settings, "learning_rate": 1e-12},
        data,
        1,
        valid_sets=[data],
        valid_names=["test"],
        callbacks=[lightgbm.record_evaluation(record)],
    )
    return record["test"]["ndcg@10"][0], record["test"]["map@10"][0]


found = {}
for name, scores in (("best", relevant + noise), ("by chance", noise), ("worst", noise - relevant)):
    ndcg, average = measure(scores)
    half = ndcg_score(relevant[: queries // 2], scores[: queries // 2])
    whole = ndcg_score(relevant, scores)
    found[name] = [round(float(value), 3) for value in (ndcg, average, half, whole)]
    print(f"{name}: lightgbm NDCG {ndcg:.3f}, MAP {average:.3f}; scikit-learn NDCG of the queries with relevant ones {half:.3f}")
    assert abs(ndcg - (1 + half) / 2) < 1e-6 and abs(whole - half / 2) < 1e-6
assert [values[0] for values in found.values()] == [1.0, 0.805, 0.681]
assert [values[1] for values in found.values()] == [1.0, 0.723, 0.578]
PYTHON
