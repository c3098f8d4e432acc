"""Metrics of texts against sacrebleu, jiwer, rouge-score, nltk and torchmetrics, and against published examples."""

from itertools import pairwise, permutations

import numpy as np
import pytest
import sacrebleu
from torchmetrics.functional.text import squad

from lossbench.tasks.text import errors, meteor, overlap, rouge

WORDS = ["one", "two", "three", "four", "twenty", "hundred"]


def texts(seed=0, number=60, vocabulary=WORDS, longest=9, empty=True):
    """Return hypotheses that are references with some words replaced, dropped, moved; some of both are empty."""
    random = np.random.default_rng(seed)
    hypotheses, references = [], []
    for _ in range(number):
        reference = list(random.choice(vocabulary, random.integers(0 if empty else 1, longest)))
        kept = [word for word in reference if random.random() > 0.2]
        kept = [str(random.choice(vocabulary)) if random.random() < 0.2 else word for word in kept]
        if random.random() < 0.3:
            random.shuffle(kept)
        hypotheses.append(" ".join(kept))
        references.append(" ".join(reference))
    return hypotheses, references


# Errors.


@pytest.mark.parametrize("seed", range(3))
def test_error_rates_are_those_of_jiwer(seed):
    jiwer = pytest.importorskip("jiwer")
    hypotheses, references = texts(seed, empty=False)
    assert errors.word_errors(hypotheses, references).rate == pytest.approx(jiwer.wer(references, hypotheses))
    assert errors.character_errors(hypotheses, references).rate == pytest.approx(jiwer.cer(references, hypotheses))
    for hypothesis, reference, edits in zip(
        hypotheses, references, errors.word_errors(hypotheses, references).edits, strict=True
    ):
        assert edits / len(reference.split()) == pytest.approx(jiwer.wer(reference, hypothesis))


def test_an_empty_reference_has_no_rate_where_jiwer_counts_words():
    jiwer = pytest.importorskip("jiwer")
    assert jiwer.wer([""], ["a b"]) == 2 and errors.word_errors(["a b"], [""]).rate is None
    assert set(errors.scores(["a b"], [""])) == {"exact_match", "token_f1"}
    assert errors.word_errors([""], ["a b"]).rate == jiwer.wer(["a b"], [""]) == 1
    both = ["a b", "c"], ["", "c d"]
    assert errors.word_errors(*both).rate == jiwer.wer(both[1], both[0]) == 1.5  # in a corpus both add the insertions
    assert errors.scores([], []) == {}


def test_edit_distances_of_published_words():
    pairs = [("kitten", "sitting", 3), ("intention", "execution", 5), ("saturday", "sunday", 3), ("", "ab", 2)]
    first, second, distances = zip(*pairs, strict=True)
    assert errors.edits(*errors.numbered(first, second)).tolist() == list(distances)


@pytest.mark.parametrize("seed", range(3))
def test_translation_edits_add_up_to_the_rate_of_sacrebleu(seed):
    hypotheses, references = texts(seed, empty=False)
    found = errors.translation_edits(hypotheses, references)
    expected = sacrebleu.TER(case_sensitive=True).corpus_score(hypotheses, [references]).score
    assert 100 * found.rate == pytest.approx(expected)
    assert (found.edits <= errors.word_errors(hypotheses, references).edits).all()


def test_translation_edits_of_an_empty_reference():
    """A sacrebleu rate of 1 for it, whatever was said."""
    assert sacrebleu.TER().corpus_score(["a b"], [[""]]).score == 100
    found = errors.translation_edits(["a b", "a", ""], ["", "a", "a b"])
    assert (found.edits.tolist(), found.lengths.tolist()) == ([2, 0, 2], [0, 1, 2])


def test_words_in_common_are_those_of_squad_where_its_normalisation_changes_nothing():
    hypotheses, references = texts(1, empty=False)
    expected = squad(
        [{"prediction_text": each, "id": str(row)} for row, each in enumerate(hypotheses)],
        [{"answers": {"answer_start": [0], "text": [each]}, "id": str(row)} for row, each in enumerate(references)],
    )
    assert 100 * errors.token_f1(hypotheses, references).mean() == pytest.approx(float(expected["f1"]))
    assert 100 * errors.exact_match(hypotheses, references).mean() == pytest.approx(float(expected["exact_match"]))


def test_as_many_hypotheses_as_references():
    for scores in (errors.scores, rouge.scores, meteor.scores, overlap.scores):
        with pytest.raises(ValueError, match="there are 1 hypotheses and 2 references"):
            scores(["a"], ["a", "b"])


# ROUGE.


@pytest.mark.parametrize("seed", range(3))
def test_rouge_1_2_and_l_are_those_of_rouge_score(seed):
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rouge1", "rouge2", "rougeL"])
    hypotheses, references = texts(seed)
    found = rouge.by_sentence(hypotheses, references)
    for row, (hypothesis, reference) in enumerate(zip(hypotheses, references, strict=True)):
        for ours, theirs in (("rouge_1", "rouge1"), ("rouge_2", "rouge2"), ("rouge_l", "rougeL")):
            expected = scorer.score(reference, hypothesis)[theirs]
            values = [found[ours + kind][row] for kind in ("_precision", "_recall", "")]
            assert values == pytest.approx([expected.precision, expected.recall, expected.fmeasure])


def test_case_and_punctuation_count_where_rouge_score_drops_them():
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rouge1"])
    assert scorer.score("A cat.", "a cat")["rouge1"].fmeasure == 1
    assert rouge.scores(["a cat"], ["A cat."])["rouge_1"] == 0


def test_examples_of_the_paper_of_rouge():
    """Lin 2004: sections 3 (L), 4 (W, with f(k) = k^2) and 5 (S)."""
    reference = "police killed the gunman"
    others = ["police kill the gunman", "the gunman kill police", "the gunman police killed"]
    found = rouge.by_sentence(others, [reference] * 3)
    assert found["rouge_l"] == pytest.approx([3 / 4, 2 / 4, 2 / 4])
    assert found["rouge_s"] == pytest.approx([3 / 6, 1 / 6, 2 / 6])
    runs = rouge.weighted_common_subsequence(*errors.numbered(["ABCDHIK", "AHBKCID"], ["ABCDEFG"] * 2), weight=2.0)
    assert np.sqrt(runs / 49).round(3).tolist() == [0.571, 0.286]


@pytest.mark.parametrize("seed", range(2))
def test_weighted_subsequences_are_those_of_the_recursion(seed):
    def recursion(first, second):
        sums, runs = np.zeros((2, len(first) + 1, len(second) + 1))
        for i, a in enumerate(first):
            for j, b in enumerate(second):
                if a == b:
                    runs[i + 1, j + 1] = runs[i, j] + 1
                    sums[i + 1, j + 1] = sums[i, j] + (runs[i, j] + 1) ** 1.2 - runs[i, j] ** 1.2
                else:
                    sums[i + 1, j + 1] = max(sums[i, j + 1], sums[i + 1, j])
        return sums[-1, -1]

    hypotheses, references = texts(seed, vocabulary=WORDS[:3])
    expected = [recursion(*pair) for pair in zip(errors.words(hypotheses), errors.words(references), strict=True)]
    found = rouge.weighted_common_subsequence(*errors.numbered(errors.words(hypotheses), errors.words(references)))
    np.testing.assert_allclose(found, expected)


def test_equal_texts_have_every_rouge_and_empty_ones_none():
    equal = rouge.by_sentence(["a b c", "", "a", "a b"], ["a b c", "", "", "a b"])
    for name, values in equal.items():
        assert values == pytest.approx([1, 0, 0, 1]), name
    assert rouge.scores([], []) == {}


# METEOR.


@pytest.mark.parametrize("seed", range(3))
def test_meteor_of_distinct_words_is_that_of_nltk_without_stems_and_synonyms(seed):
    nltk = pytest.importorskip("nltk.translate.meteor_score")

    class Plain:
        def stem(self, word):
            return word

        def synsets(self, word):
            return []

    random = np.random.default_rng(seed)
    for _ in range(20):
        reference = list(random.permutation(WORDS)[: random.integers(1, 6)])
        hypothesis = list(random.permutation(WORDS)[: random.integers(1, 6)])
        expected = nltk.single_meteor_score(reference, hypothesis, stemmer=Plain(), wordnet=Plain())
        found = meteor.by_sentence([" ".join(hypothesis)], [" ".join(reference)])["meteor_2005"][0]
        assert found == pytest.approx(expected)


def test_fewer_chunks_are_found_than_nltk_finds():
    nltk = pytest.importorskip("nltk.translate.meteor_score")
    hypothesis, reference = "a b", "a b c a"
    pairs, _, _ = nltk._match_enums(*(list(enumerate(text.split())) for text in (hypothesis, reference)))
    assert nltk._count_chunks(sorted(pairs)) == 2
    assert meteor.fewest_chunks(hypothesis.split(), reference.split()) == (2, 1)


@pytest.mark.parametrize("seed", range(3))
def test_the_alignment_has_the_fewest_chunks_of_all(seed):
    def of_all(hypothesis, reference):
        best = (0, 0)
        padded = [*range(len(reference)), *[None] * len(hypothesis)]
        for places in set(permutations(padded, len(hypothesis))):
            if any(p is not None and reference[p] != word for p, word in zip(places, hypothesis, strict=True)):
                continue
            matches = sum(place is not None for place in places)
            follows = [b == a + 1 for a, b in pairwise(places) if None not in (a, b)]
            best = max(best, (matches, sum(follows) - matches))
        return best[0], -best[1]

    hypotheses, references = texts(seed, number=25, vocabulary=WORDS[:2], longest=5)
    for pair in zip(errors.words(hypotheses), errors.words(references), strict=True):
        assert meteor.fewest_chunks(*pair) == of_all(*pair)


def test_the_forms_of_meteor():
    """With alpha .9, beta 3 and gamma .5 the form with parameters is that of 2005."""
    found = meteor.alignments(*texts(2))
    np.testing.assert_allclose(meteor.of_2005(*found), meteor.parametric(*found))
    both = meteor.by_sentence(
        ["on the mat sat the cat", "", "a b c", "x"], ["the cat sat on the mat", "", "a b c", "y"]
    )
    assert both["meteor_2005"] == pytest.approx([1 - 0.5 * (3 / 6) ** 3, 0, 1 - 0.5 / 27, 0])
    assert both["meteor_2007"] == pytest.approx([1 - 0.28 * 0.5**0.83, 0, 1 - 0.28 * 3**-0.83, 0])


# BLEU and chrF.


@pytest.mark.parametrize("seed", range(3))
def test_sentence_scores_are_those_of_sacrebleu(seed):
    hypotheses, references = texts(seed)
    metric = sacrebleu.BLEU(tokenize="none", effective_order=True)
    pairs = list(zip(hypotheses, references, strict=True))
    expected = [metric.sentence_score(each, [true]).score / 100 for each, true in pairs]
    np.testing.assert_allclose(overlap.sentence_bleu(hypotheses, references), expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_corpus_scores_are_those_of_sacrebleu(seed):
    hypotheses, references = texts(seed)
    found = overlap.scores(hypotheses, references)
    assert 100 * found["corpus_bleu"] == pytest.approx(sacrebleu.corpus_bleu(hypotheses, [references]).score)
    assert 100 * found["corpus_chrf"] == pytest.approx(sacrebleu.corpus_chrf(hypotheses, [references]).score)


def test_a_corpus_is_no_mean_of_sentences():
    """Of 6 words 4 match, of 4 pairs 3, and so on; one sentence is right, the other has nothing."""
    pair = ["a b c d", "x y"], ["a b c d", "u v"]
    assert overlap.sentence_bleu(*pair).tolist() == [1, 0]
    assert overlap.corpus_bleu(*pair) == pytest.approx((4 / 6 * 3 / 4 * 2 / 2 * 1 / 1) ** 0.25)


def test_the_example_of_the_paper_of_bleu_is_clipped():
    """Papineni et al. 2002: of seven times "the", two are matched by "the cat is on the mat"."""
    counted = overlap.matches_by_order(*errors.numbered([["the"] * 7], [["the", "cat", "is", "on", "the", "mat"]]))
    assert [(int(matches[0]), int(total[0])) for matches, total in counted] == [(2, 7), (0, 6), (0, 5), (0, 4)]


def test_empty_texts_have_no_bleu():
    assert overlap.sentence_bleu(["", "a", "", "a b"], ["", "", "a", "a b"]).tolist() == [0, 0, 0, 1]
    assert overlap.scores([], []) == {} and overlap.scores([""], ["a"]) == {"corpus_bleu": 0, "corpus_chrf": 0}
    tokens = np.array([[1, 2, 3, 4, 5], [1, 2, 9, -1, -1]]), np.array([[1, 2, 3, 4, 5], [1, 2, 3, -1, -1]])
    as_text = [" ".join(str(token) for token in row if token >= 0) for row in tokens[0]], ["1 2 3 4 5", "1 2 3"]
    np.testing.assert_allclose(overlap.tokens_bleu(*tokens), overlap.sentence_bleu(*as_text))
