#!/usr/bin/env bash
# rank-bm25 0.2.2: a word that half of the passages have weighs nothing, one that more of them have weighs something.
#
# Guess: the fewer passages have a word, the more it weighs, and a passage that has a word of the query scores higher than
# one that has not (as in Lucene, whose idf is log(1 + (N - n + 0.5) / (n + 0.5)); bm25s 0.3.16 does so).
# Seen: BM25Okapi's idf is log((N - n + 0.5) / (n + 0.5)): 0 at n = N / 2, and where it is negative it is replaced by a
# quarter of the mean idf. In ten passages the word that five have scores 0 everywhere, the word that six have .33. With
# two passages, a word that one of them has finds nothing: small collections, as in tests of retrieval, suffer most.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 scipy==1.16.3 rank-bm25==0.2.2 bm25s==0.3.16
"$folder/venv/bin/python" - <<'PYTHON'
import bm25s
from rank_bm25 import BM25Okapi

passages = [["half"] * (i < 5) + ["often"] * (i < 6) + [f"word{i}"] for i in range(10)]
okapi, lucene = BM25Okapi(passages), bm25s.BM25()
lucene.index(passages, show_progress=False)
found = {}
for word in ("half", "often"):
    found[word] = okapi.get_scores([word])[0], lucene.get_scores([word])[0]
    print(f"a passage with the query {word!r}: rank-bm25 {found[word][0]:.3f}, bm25s {found[word][1]:.3f}")
two = BM25Okapi([["apple", "pie"], ["pear", "tart"]]).get_scores(["apple"])
print("two passages, one has the word:", two.tolist())
assert found["half"][0] == 0 < 0.3 < found["often"][0]
assert found["half"][1] > found["often"][1] > 0
assert two.tolist() == [0, 0]
PYTHON
