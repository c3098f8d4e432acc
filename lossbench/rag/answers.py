"""Metrics of an answer against the question, the reference and the contexts.

Each takes a `Case`, and by name what else it asks for: `judge`, a prompt to a reply; `embed`, n texts to an array
(n, d). It returns a float, or None where the case has no value; None is left out of means, never counted as 0. A judge
whose reply can't be read raises `Unparsable`, one that gives none `JudgeFailed`.

Source of all but `answer_correctness_tokens`: Es et al. 2024, "RAGAs: Automated Evaluation of Retrieval Augmented
Generation", arXiv:2309.15217, and its library.
"""

import re
import string
from collections import Counter
from typing import Any

from lossbench.rag.asking import Judge, ask, texts, truth, verdicts
from lossbench.rag.cases import Case
from lossbench.rag.declared import metric
from lossbench.rag.embedders import Embedder, cosines
from lossbench.rag.prompts import prompt


@metric(needs=("answer", "reference"), bounds=(-1.0, 1.0))
def answer_similarity(case: Case, embed: Embedder) -> float:
    """Likeness of answer and reference.

    Formula: cos(e(answer), e(reference)), in [-1, 1]; 0 for an empty answer.

    Examples
    --------
    >>> from lossbench.rag.embedders import lexical
    >>> round(answer_similarity(Case("Who?", answer="Jane Austen", reference="Jane Austen"), lexical), 6)
    1.0

    """
    answer, reference = given(case.answer), given(case.reference)
    return float(cosines(embed, answer, [reference])[0]) if answer.strip() else 0.0


@metric(needs=("answer", "reference"), calls="1", bounds=(-1.0, 1.0))
def answer_correctness(case: Case, judge: Judge, embed: Embedder, *, correctness_weight: float = 0.75) -> float | None:
    """Claims that answer and reference share, and likeness of both.

    Formula: a F1 + (1 - a) cos(e(answer), e(reference)), F1 = 2 TP / (2 TP + FP + FN) over claims: TP are those of the
    answer that the reference makes, too, FP its others, FN those of the reference that the answer lacks. In
    [-(1 - a), 1]; 0 for an empty answer, no value where neither makes a claim.

    Parameters
    ----------
    case, judge, embed
        See the head of the file.
    correctness_weight : float
        a, in [0, 1].

    Examples
    --------
    >>> case = Case("Who wrote Emma?", answer="Jane Austen, in 1815.", reference="Jane Austen.")
    >>> reply = '{"shared": ["Austen wrote Emma"], "added": ["Emma is of 1815"], "missing": []}'
    >>> alike = lambda texts: [[1.0] for text in texts]
    >>> round(answer_correctness(case, lambda prompt: reply, alike), 4)  # 0.75 * 2/3 + 0.25 * 1
    0.75

    """
    answer, reference = given(case.answer), given(case.reference)
    if not answer.strip():
        return 0.0
    asked = prompt("compare claims", question=case.question, answer=answer, reference=reference)
    score = f1(*ask(judge, asked, _compared))
    if score is None:
        return None
    return correctness_weight * score + (1 - correctness_weight) * answer_similarity(case, embed)


@metric(needs=("answer", "reference"), bounds=(-1.0, 1.0))
def answer_correctness_tokens(case: Case, embed: Embedder, *, correctness_weight: float = 0.75) -> float:
    """Words that answer and reference share, and likeness of both: the form without a judge.

    Formula: a F1 + (1 - a) cos(e(answer), e(reference)), with F1 of `token_f1`. In [-(1 - a), 1]; 0 for an empty
    answer. Shared words are no shared claims: "not in 1815" shares two of three with "in 1815".

    Source: the survey's own formula; F1 of Rajpurkar et al. 2016, "SQuAD", arXiv:1606.05250.

    Examples
    --------
    >>> case = Case("When?", answer="in the year 1815", reference="in 1815")
    >>> alike = lambda texts: [[1.0] for text in texts]
    >>> round(answer_correctness_tokens(case, alike), 4)  # 0.75 * 4/5 + 0.25 * 1
    0.85

    """
    answer, reference = given(case.answer), given(case.reference)
    if not answer.strip():
        return 0.0
    likeness = answer_similarity(case, embed)
    return correctness_weight * token_f1(answer, reference) + (1 - correctness_weight) * likeness


@metric(needs=("answer",), calls="1", bounds=(-1.0, 1.0))
def answer_relevance(case: Case, judge: Judge, embed: Embedder, *, questions: int = 3) -> float:
    """Likeness of the question and of those that a judge reads out of the answer.

    Formula: 1/n sum_i cos(e(question), e(question_i)), in [-1, 1]; 0 where the judge calls the answer noncommittal, and
    for an empty one, of which it isn't asked.

    Parameters
    ----------
    case, judge, embed
        See the head of the file.
    questions : int
        n that the judge is asked for; the mean is over those that it gives.

    Examples
    --------
    >>> case = Case("Who wrote Emma?", answer="Jane Austen wrote Emma.")
    >>> reply = '{"questions": ["Who wrote Emma?", "By whom is Emma?"], "noncommittal": false}'
    >>> like = lambda texts: [[1.0, 0.0] if text == case.question else [0.6, 0.8] for text in texts]
    >>> answer_relevance(case, lambda prompt: reply, like)  # (1 + 0.6) / 2
    0.8

    """
    answer = given(case.answer)
    if not answer.strip():
        return 0.0
    asked = prompt("questions of answer", answer=answer, number=questions)
    made, noncommittal = ask(judge, asked, _questions)
    return 0.0 if noncommittal else float(cosines(embed, case.question, made).mean())


@metric(needs=("answer", "contexts"), calls="2")
def faithfulness(case: Case, judge: Judge) -> float | None:
    """Share of the claims of an answer that the contexts support.

    Formula: supported claims / all claims, in [0, 1]. 0 without contexts; no value for an answer that claims nothing.

    Examples
    --------
    >>> case = Case("Who wrote Emma?", answer="Austen, in 1815.", contexts=("Austen wrote Emma.",))
    >>> replies = iter(['{"claims": ["Austen wrote Emma", "Emma is of 1815"]}', '{"verdicts": [true, false]}'])
    >>> faithfulness(case, lambda prompt: next(replies))
    0.5

    """
    answer, contexts = given(case.answer), given(case.contexts)
    if not answer.strip():
        return None
    claims = ask(judge, prompt("claims", question=case.question, answer=answer), texts("claims"))
    if not claims:
        return None
    if not any(context.strip() for context in contexts):
        return 0.0
    supported = ask(judge, prompt("supported", claims=claims, contexts=contexts), verdicts(len(claims)))
    return sum(supported) / len(claims)


def token_f1(answer: str, reference: str) -> float:
    """Return F1 of the words of two texts, as SQuAD counts them.

    Formula: 2 shared / (words of answer + words of reference); a word counts as often as it stands in both. Lower case,
    without punctuation and the articles a, an, the. In [0, 1]; two texts without words give 1.

    Examples
    --------
    >>> token_f1("The cat, the cat", "a cat")
    0.6666666666666666

    """
    one, other = _words(answer), _words(reference)
    if not one or not other:
        return float(one == other)
    return 2 * (Counter(one) & Counter(other)).total() / (len(one) + len(other))


def f1(shared: int, added: int, missing: int) -> float | None:
    """Return 2 TP / (2 TP + FP + FN), or None where all are 0."""
    return 2 * shared / (2 * shared + added + missing) if shared + added + missing else None


def given(value: Any) -> Any:
    """Return a field that the metric needs.

    Raises
    ------
    ValueError
        If the case does not have it.

    """
    if value is None:
        raise ValueError("the case lacks a field that the metric needs: see `needs` where it is declared")
    return value


def _words(text: str) -> list[str]:
    plain = "".join(character for character in text.lower() if character not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", plain).split()


def _compared(said: dict[str, Any]) -> tuple[int, int, int]:
    shared, added, missing = (len(texts(name)(said)) for name in ("shared", "added", "missing"))
    return shared, added, missing


def _questions(said: dict[str, Any]) -> tuple[list[str], bool]:
    made, noncommittal = texts("questions")(said), truth(said["noncommittal"])
    if not made and not noncommittal:
        raise ValueError("no question")
    return made, noncommittal
