"""The metrics of translations in terms of texts; those longer than all in training count in metrics of their own."""

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.tasks.by_sample import Arrays, Makers, Mean, OfSums, ratio
from lossbench.tasks.task import Task
from lossbench.tasks.text import errors, meteor, overlap, rouge
from lossbench.tasks.text.by_sample import of_tokens
from lossbench.tasks.translation.texts import METEOR, ROUGE, texts_of

Array = NDArray[Any]
CHARACTERS = 6
"""The longest n-gram of chrF."""


def by_sample(task: Task, arrays: Arrays) -> Makers:
    """Make all metrics."""
    long = arrays["long"].astype(bool)
    some, exact = ~long, exact_matches(arrays["hypothesis"], arrays["target"])
    texts = cache(lambda: texts_of(arrays))
    found: Makers = {}
    if some.any():
        tokens = (np.where(some, arrays[name].astype(np.float64), 0) for name in ("nll", "right", "tokens"))
        of_each = of_tokens(*tokens)
        found |= {name: of_each[name] for name in ("perplexity", "token_accuracy")}
        found["exact_match"] = lambda: _mean(exact, some)
        found["bleu"] = lambda: bleu(texts()[0], texts()[1], some)
        found["chrf"] = lambda: chrf(texts()[0], texts()[1], some)
        for name, count in {"wer": errors.word_errors, "cer": errors.character_errors,
                            "ter": errors.translation_edits}.items():  # fmt: skip
            found[name] = partial(lambda count: _rate(count(*texts()), some), count)
        for name, of_texts in _of_sentences().items():
            found[name] = partial(lambda of_texts: _mean(of_texts(*texts()), some), of_texts)
    if long.any():
        found["long_exact_match"] = lambda: _mean(exact, long)
        found["long_bleu"] = lambda: bleu(texts()[0], texts()[1], long)
    return found


def _of_sentences() -> dict[str, Any]:
    """Return what gives the values (N,) of each metric that is a mean over sentences."""
    of_rouge = {name: partial(lambda name, *texts: rouge.by_sentence(*texts)[name], name) for name in ROUGE}
    of_meteor = {name: partial(lambda name, *texts: meteor.by_sentence(*texts)[name], name) for name in METEOR}
    return {"sentence_bleu": overlap.sentence_bleu, "token_f1": errors.token_f1, **of_rouge, **of_meteor}


def bleu(hypotheses: Sequence[str], references: Sequence[str], part: Array) -> OfSums:
    """Make corpus BLEU of the n-grams of each sentence of a part: matches, their number, and the lengths in words."""
    first, second = errors.numbered(errors.words(hypotheses), errors.words(references))
    orders = overlap.matches_by_order(first, second)
    counts = [each for order in orders for each in order]
    return OfSums(np.stack([*counts, (second >= 0).sum(1)], 1) * part[:, None], bleu_of_sums)


def bleu_of_sums(sums: Array) -> Array:
    """Return BLEU (B,) of sums (B, 9): matches and number of the n-grams of each order in turn, words of references.

    The k-th order without a match counts as 2^-k matches; without any match, or an order without n-grams, it is 0.

    Examples
    --------
    >>> bleu_of_sums(np.array([[4.0, 5, 3, 4, 2, 3, 1, 2, 5]])).round(3)
    array([0.669])

    """
    matches, counts, words = sums[:, 0:8:2], sums[:, 1:8:2], sums[:, 8]
    missed = (matches == 0).cumsum(1)
    share = np.where(matches == 0, 0.5**missed, matches) / counts
    brevity = np.minimum(0, 1 - words / counts[:, 0])
    there = (matches.sum(1) > 0) & (counts > 0).all(1)
    return np.where(there, np.exp(brevity + np.log(share).mean(1)), 0.0)


def chrf(hypotheses: Sequence[str], references: Sequence[str], part: Array) -> OfSums:
    """Make corpus chrF2 of the n-grams of 1 to 6 characters of each sentence of a part, its reference, and both.

    As sacrebleu has it, those of a sentence count only where its reference is as long.
    """
    first, second = errors.numbered(*(["".join(each.split()) for each in texts] for texts in (hypotheses, references)))
    lengths = (second >= 0).sum(1)
    counts = []
    for n, (matches, count) in enumerate(overlap.matches_by_order(first, second, CHARACTERS), start=1):
        there = np.maximum(lengths - n + 1, 0)
        counts += [count * (there > 0), there, matches]
    return OfSums(np.stack(counts, 1) * part[:, None], chrf_of_sums)


def chrf_of_sums(sums: Array) -> Array:
    """Return chrF2 (B,) of sums (B, 18): for each order the n-grams of hypotheses and references, and those in both.

    Formula: 5 P R / (4 P + R), P and R the means of precision and recall over the orders that both have

    Examples
    --------
    >>> chrf_of_sums(np.array([[4.0, 4, 2, 3, 3, 0] + [0] * 12]))
    array([0.25])

    """
    ours, theirs, both = (sums[:, first::3] for first in range(3))
    known = (ours > 0) & (theirs > 0)
    orders = np.maximum(known.sum(1), 1)
    precision, recall = (np.where(known, both / np.maximum(each, 1), 0).sum(1) / orders for each in (ours, theirs))
    below = 4 * precision + recall
    return np.where(below > 0, 5 * precision * recall / np.where(below > 0, below, 1), 0.0)


def exact_matches(hypothesis: Array, target: Array) -> Array:
    """Tell which translations (N, T + 1) are their targets (N, T); -1 pads both."""
    width = hypothesis.shape[1] - target.shape[1]
    return np.asarray((hypothesis == np.pad(target, ((0, 0), (0, width)), constant_values=-1)).all(1))


def _mean(values: Array, part: Array) -> Mean:
    """Make the mean over a part of the texts: a ratio, since a draw may have more or fewer of them."""
    return ratio(np.where(part, values, 0.0), part)


def _rate(counts: errors.Counts, part: Array) -> Mean:
    return ratio(np.where(part, counts.edits, 0), np.where(part, counts.lengths, 0))
