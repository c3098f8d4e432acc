"""BLEU and chrF: n-grams of words or characters in common with a reference, of a corpus or of a sentence.

All are shares, where papers print 100 times as much. A corpus is not a mean over sentences: its n-grams are added up
first, and it is long enough or not as a whole. So `corpus_bleu` is no mean of `sentence_bleu`. Words are what stands
between blanks, as they are (sacrebleu's tokenizer "none", where its default also splits off punctuation). One reference
for each text.

References
----------
Papineni et al. 2002, "BLEU: a Method for Automatic Evaluation of Machine Translation", doi:10.3115/1073083.1073135;
Popovic 2015, "chrF: character n-gram F-score for automatic MT evaluation", W15-3049; Post 2018, "A Call for Clarity in
Reporting BLEU Scores", W18-6319 (sacrebleu).

"""

import numpy as np

from lossbench.tasks.text.errors import Array, Texts, numbered, require_pairs, words

ORDER = 4
"""The longest n-gram of BLEU."""


def scores(hypotheses: Texts, references: Texts) -> dict[str, float]:
    """Return corpus_bleu and corpus_chrf; nothing of no sentences.

    Parameters
    ----------
    hypotheses, references : sequence of N str
        What is predicted, and what is true.

    Returns
    -------
    dict of str to float
        In [0, 1].

    Raises
    ------
    ValueError
        If there are not as many of both.

    Examples
    --------
    >>> found = scores(["one two three four five"], ["one two three four six"])
    >>> {name: round(value, 3) for name, value in found.items()}
    {'corpus_bleu': 0.669, 'corpus_chrf': 0.803}

    """
    if not len(references):
        return {}
    return {
        "corpus_bleu": corpus_bleu(hypotheses, references),
        "corpus_chrf": corpus_chrf(hypotheses, references),
    }


def corpus_bleu(hypotheses: Texts, references: Texts) -> float:
    """Return the BLEU of a corpus, by sacrebleu.

    Formula: min(1, e^(1 - r / h)) (prod_{n=1}^4 matches_n / n-grams_n)^(1/4)

    h and r are the words of all hypotheses and references, matches_n the n-grams in common, each as often as both have
    it. Of the orders without a match, the k-th counts 1 / 2^k matches (sacrebleu's smoothing "exp"); an order without
    an n-gram makes it 0, and so does a corpus without a word in common.

    Examples
    --------
    >>> corpus_bleu(["a b c d"], ["a b c d"])
    1.0

    """
    from sacrebleu.metrics.bleu import BLEU

    require_pairs(hypotheses, references)
    return min(1.0, BLEU(tokenize="none", force=True).corpus_score(list(hypotheses), [list(references)]).score / 100)


def corpus_chrf(hypotheses: Texts, references: Texts) -> float:
    """Return the chrF2 of a corpus, by sacrebleu: n-grams of 1 to 6 characters without blanks, recall weighing twice.

    Examples
    --------
    >>> corpus_chrf(["seven"], ["seven"])
    1.0

    """
    from sacrebleu.metrics.chrf import CHRF

    require_pairs(hypotheses, references)
    return min(1.0, CHRF().corpus_score(list(hypotheses), [list(references)]).score / 100)


def sentence_bleu(hypotheses: Texts, references: Texts) -> Array:
    """Return the BLEU of each sentence (N,), as sacrebleu has it: smoothed, of no more orders than it has words.

    The k-th order without a match counts 1 / 2^k matches; orders longer than the hypothesis are left out
    (`effective_order`). A sentence without a word in common has 0.

    Examples
    --------
    >>> sentence_bleu(["one two", "one six", "six"], ["one two", "one two", "one"]).round(3)
    array([1. , 0.5, 0. ])

    """
    return tokens_bleu(*numbered(words(hypotheses), words(references)))


def tokens_bleu(hypotheses: Array, references: Array) -> Array:
    """Return what `sentence_bleu` does of numbered words (N, L) and (N, M), negative after the end.

    For all sentences at once: the costs of drawn translations take it at each step of training.

    Examples
    --------
    >>> tokens_bleu(np.array([[4, 5, -1], [4, 6, -1]]), np.array([[4, 5], [4, 5]]))
    array([1. , 0.5])

    """
    of_hypothesis, of_reference = (hypotheses >= 0).sum(1), (references >= 0).sum(1)
    logs, orders, missed = np.zeros(len(hypotheses)), np.zeros(len(hypotheses)), np.ones(len(hypotheses))
    any_match = np.zeros(len(hypotheses), dtype=bool)
    for matches, total in matches_by_order(hypotheses, references):
        missed = np.where((matches == 0) & (total > 0), 2 * missed, missed)
        share = np.where(matches > 0, matches, 1 / missed) / np.maximum(total, 1)
        logs += np.where(total > 0, np.log(share), 0)
        orders += total > 0
        any_match |= matches > 0
    short = np.minimum(0, 1 - of_reference / np.maximum(of_hypothesis, 1))
    return np.where(any_match, np.exp(short + logs / np.maximum(orders, 1)), 0.0)


def matches_by_order(hypotheses: Array, references: Array, longest: int = ORDER) -> list[tuple[Array, Array]]:
    """Return for n = 1 to the longest the n-grams in common (N,), as often as in both, and those of the hypothesis.

    An n-gram of a hypothesis is matched if fewer equal ones stand before it than the reference has.
    """
    valid = hypotheses >= 0
    one = (hypotheses[:, :, None] == references[:, None]) & valid[:, :, None]
    own_one = (hypotheses[:, :, None] == hypotheses[:, None]) & valid[:, :, None]
    equal, own, found = one, own_one, []
    for n in range(1, longest + 1):
        if n > 1:
            equal = equal[:, :-1, :-1] & one[:, n - 1 :, n - 1 :]
            own = own[:, :-1, :-1] & own_one[:, n - 1 :, n - 1 :]
        before = np.tril(own, -1).sum(2)
        found.append(((before < equal.sum(2)).sum(1), np.maximum(valid.sum(1) - n + 1, 0)))
    return found
