#!/usr/bin/env bash
# rouge 1.0.1: "the the the the the the" has a ROUGE-1 precision of 1.
#
# Guess: ROUGE-1 counts words as often as they occur, clipped by the reference (Lin 2004), so of six "the" two are found in
# "the cat sat on the mat": precision and recall 1/3, as the "Full Python ROUGE Score Implementation" is one of that measure.
# Seen: precision 1, recall 1/5. Words, pairs of words and the longest common sequence are put into sets first, unless
# exclusive=False is given (its README doesn't name it), so that to repeat costs nothing: "the cat" eight times over has an F1
# of .57, where rouge-score says .27, and beats "the cat ran off to him", with .36. A model that loops is taken for the better.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 rouge-score==0.1.2 rouge==1.0.1
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
from rouge import Rouge
from rouge_score.rouge_scorer import RougeScorer

reference = "the cat sat on the mat"
found = {}
for output in ("the the the the the the", " ".join(["the cat"] * 8), "the cat ran off to him"):
    sets, bags = (Rouge(exclusive=value).get_scores(output, reference)[0] for value in (True, False))
    scored = RougeScorer(["rouge1", "rougeL"]).score(reference, output)
    found[output] = [
        (round(words["p"], 2), round(words["f"], 2), round(longest["f"], 2))
        for words, longest in ((scores["rouge-1"], scores["rouge-l"]) for scores in (sets, bags))
    ]
    found[output].append(tuple(round(value, 2) for value in (*scored["rouge1"][::2], scored["rougeL"].fmeasure)))
    print(f"{output!r}: precision and F1 of words, F1 of the longest common sequence")
    for name, values in zip(("rouge", "rouge, exclusive=False", "rouge-score"), found[output], strict=True):
        print(f"  {name}:", *values)
assert list(found.values()) == [
    [(1.0, 0.33, 0.33), (0.33, 0.33, 0.33), (0.33, 0.33, 0.33)],
    [(1.0, 0.57, 0.57), (0.19, 0.27, 0.27), (0.19, 0.27, 0.27)],
    [(0.33, 0.36, 0.36), (0.33, 0.33, 0.33), (0.33, 0.33, 0.33)],
]
PYTHON
