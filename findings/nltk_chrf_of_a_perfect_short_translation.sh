#!/usr/bin/env bash
# nltk 3.10.4: a perfect translation of "no" has a chrF of .33, of "yes" .5.
#
# Guess: chrF of a text with itself is 1, as sacrebleu gives (100), and corpus_chrf of a test set differs from it by little.
# Seen: sentence_chrf("no", "no") is 1/3, of "yes" 1/2, of "okay" 2/3. chrF averages the F-scores of pieces of 1 to 6
# characters; a text shorter than 6 has none of the longest, and their F-score is taken for 1e-16 instead of being left out
# (sacrebleu does so on request, eps_smoothing=True). As corpus_chrf is the mean of the sentences, not pooled, short answers
# that are all right have .46, and longer ones of which half are wrong .54 (1 and .61 with sacrebleu).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet nltk==3.10.4 sacrebleu==2.6.0
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
from nltk.translate.chrf_score import corpus_chrf, sentence_chrf
from sacrebleu.metrics import CHRF

found = {}
for text in ("no", "yes", "okay", "the cat sat"):
    values = (
        sentence_chrf(text, text),
        CHRF(beta=3).sentence_score(text, [text]).score / 100,
        CHRF(beta=3, eps_smoothing=True).sentence_score(text, [text]).score / 100,
    )
    found[text] = [round(value, 2) for value in values]
    print(f"{text!r} for {text!r}: nltk {values[0]:.2f}, sacrebleu {values[1]:.2f}, with eps_smoothing {values[2]:.2f}")
assert found == {"no": [0.33, 1.0, 0.33], "yes": [0.5, 1.0, 0.5], "okay": [0.67, 1.0, 0.67], "the cat sat": [1.0, 1.0, 1.0]}

sets = {
    "short, all right": (["yes", "no", "yes", "why"], ["yes", "no", "yes", "why"]),
    "longer, half wrong": (
        ["the cat sat on the mat", "a dog barks", "it rains here", "he went home"],
        ["the cat sat on the mat", "a dog barks", "we have sun", "nobody knew"],
    ),
}
corpora = {}
for name, (references, outputs) in sets.items():
    ours, theirs = corpus_chrf(references, outputs), CHRF(beta=3).corpus_score(outputs, [references]).score / 100
    corpora[name] = (round(ours, 2), round(theirs, 2))
    print(f"{name}: nltk {ours:.2f}, sacrebleu {theirs:.2f}")
assert corpora == {"short, all right": (0.46, 1.0), "longer, half wrong": (0.54, 0.61)}
PYTHON
