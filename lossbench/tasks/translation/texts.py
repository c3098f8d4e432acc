"""Translations as texts, and what is measured of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from lossbench.tasks.text import errors, meteor, overlap, rouge

Array = NDArray[Any]
ROUGE = ("rouge_1", "rouge_2", "rouge_l", "rouge_w", "rouge_s")
METEOR = ("meteor_2005", "meteor_2007")


def texts_of(arrays: Mapping[str, Array], names: Sequence[str] = ("hypothesis", "target")) -> list[list[str]]:
    """Write tokens as texts: of each named array (N, T).

    Parameters
    ----------
    arrays : mapping
        Those of `Predictions`: `pieces` are the characters of each token; what is below 0 is left out.
    names : sequence of str
        Which arrays, by default the translations and the true ones.

    Returns
    -------
    list of list of N str
        Without blanks at their ends.

    Examples
    --------
    >>> import numpy as np
    >>> arrays = {"pieces": np.array([[0, 0], [97, 98], [32, 0]]), "target": np.array([[1, 2, 1], [1, -1, -1]])}
    >>> texts_of(arrays, ["target"])
    [['ab ab', 'ab']]

    """
    pieces = ["".join(chr(point) for point in row if point) for row in arrays["pieces"].tolist()]
    return [
        ["".join(pieces[token] for token in row if token >= 0).strip() for row in arrays[name].tolist()]
        for name in names
    ]


def scores_of_texts(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Measure N translations as one corpus, and as the mean over them.

    Examples
    --------
    >>> found = scores_of_texts(["one two three four five"], ["one two three four six"])
    >>> {name: round(found[name], 3) for name in ("bleu", "sentence_bleu", "wer", "rouge_1")}
    {'bleu': 0.669, 'sentence_bleu': 0.669, 'wer': 0.2, 'rouge_1': 0.8}

    """
    of_words = errors.scores(hypotheses, references)
    in_common, aligned = rouge.scores(hypotheses, references), meteor.scores(hypotheses, references)
    return {
        "bleu": overlap.corpus_bleu(hypotheses, references),
        "chrf": overlap.corpus_chrf(hypotheses, references),
        "sentence_bleu": float(overlap.sentence_bleu(hypotheses, references).mean()),
        **{name: of_words[name] for name in ("ter", "wer", "cer", "token_f1") if name in of_words},
        **{name: in_common[name] for name in ROUGE},
        **{name: aligned[name] for name in METEOR},
    }
