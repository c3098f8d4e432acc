"""Metrics that are questions of yes or no to a judge. What they take, return and raise: the head of `answers.py`."""

from typing import Any

from lossbench.rag.answers import given
from lossbench.rag.asking import Judge, ask, texts, verdict, verdicts
from lossbench.rag.cases import Case
from lossbench.rag.declared import metric
from lossbench.rag.prompts import prompt


@metric(needs=("summary", "text|contexts"), calls="2")
def summarisation(case: Case, judge: Judge, *, conciseness_weight: float = 0.5) -> float | None:
    """Share of a text that a summary tells, and how short it is.

    Formula: (1 - b) QA + b (1 - min(len summary, len text) / len text), with QA the share of questions, made from the
    text, that the summary answers; lengths in characters. In [0, 1]. The survey prints the ratio of the lengths itself,
    which rewards long summaries. 0 for an empty summary, though nothing is shorter; no value for an empty text, or if
    there is nothing to ask about it.

    Parameters
    ----------
    case, judge
        See `answers.py`; without `text`, it is the contexts that were summarised.
    conciseness_weight : float
        b, in [0, 1].

    References
    ----------
    RAGAS, "Summarization Score", https://docs.ragas.io (coefficient 0.5).

    Examples
    --------
    >>> case = Case("Sum up.", text="x" * 100, summary="x" * 20)
    >>> replies = iter(['{"questions": ["One?", "Two?"]}', '{"verdicts": [true, false]}'])
    >>> summarisation(case, lambda prompt: next(replies))  # 0.5 * 1/2 + 0.5 * (1 - 20/100)
    0.65

    """
    summary = given(case.summary).strip()
    text = (case.text if case.text is not None else "\n\n".join(given(case.contexts))).strip()
    if not text or not summary:
        return 0.0 if text else None
    questions = ask(judge, prompt("questions of text", text=text), texts("questions"))
    if not questions:
        return None
    asked = prompt("answered by summary", questions=questions, summary=summary)
    told = sum(ask(judge, asked, verdicts(len(questions)))) / len(questions)
    conciseness = 1 - min(len(summary), len(text)) / len(text)
    return (1 - conciseness_weight) * told + conciseness_weight * conciseness


@metric(needs=("answer",), calls="strictness for each aspect")
def aspect_critique(case: Case, judge: Judge, *, aspect: str, strictness: int = 1) -> float:
    """Whether an answer has a quality, by the majority of some verdicts.

    Formula: 1 if more than half of n verdicts on the question `aspect` are yes, else 0. An empty answer is judged, too.

    Parameters
    ----------
    case, judge
        See `answers.py`.
    aspect : str
        A question of yes or no about the answer.
    strictness : int
        n, odd. At temperature 0 the verdicts hardly differ: each prompt only says how often it was asked.

    References
    ----------
    RAGAS, "Aspect Critic", https://docs.ragas.io.

    Examples
    --------
    >>> replies = iter(['{"verdict": true}', '{"verdict": false}', '{"verdict": true}'])
    >>> aspect_critique(Case("Who?", answer="Me."), lambda prompt: next(replies), aspect="Is it short?", strictness=3)
    1.0

    """
    inputs: dict[str, Any] = {"question": case.question, "answer": given(case.answer), "aspect": aspect}
    said = [ask(judge, prompt("aspect", **inputs, reading=reading), verdict) for reading in range(1, strictness + 1)]
    return float(2 * sum(said) > strictness)


@metric(needs=("contexts",), calls="1", label="label_context_relevance")
def context_relevance(case: Case, judge: Judge) -> float:
    """Whether the contexts have what the question needs (ARES).

    Formula: 1 if the judge says yes, else 0; 0 without contexts, and then it isn't asked.

    References
    ----------
    Saad-Falcon et al. 2024, "ARES: An Automated Evaluation Framework for Retrieval-Augmented Generation Systems",
    arXiv:2311.09476; there the judge is a fine-tuned DeBERTa.

    Examples
    --------
    >>> context_relevance(Case("Who?", contexts=("Austen.",)), lambda prompt: '{"verdict": "yes"}')
    1.0

    """
    contexts = given(case.contexts)
    if not any(context.strip() for context in contexts):
        return 0.0
    return float(ask(judge, prompt("contexts relevant", question=case.question, contexts=contexts), verdict))


@metric(needs=("answer", "contexts"), calls="1", label="label_answer_faithfulness")
def answer_faithfulness(case: Case, judge: Judge) -> float | None:
    """Whether all of an answer is grounded in the contexts (ARES).

    Formula: 1 if the judge says yes, else 0; 0 without contexts, no value for an empty answer; then it isn't asked.

    References
    ----------
    Saad-Falcon et al. 2024, arXiv:2311.09476.

    Examples
    --------
    >>> case = Case("Who?", answer="Austen.", contexts=("Austen.",))
    >>> answer_faithfulness(case, lambda prompt: '{"verdict": false}')
    0.0

    """
    answer, contexts = given(case.answer), given(case.contexts)
    if not answer.strip() or not any(context.strip() for context in contexts):
        return 0.0 if answer.strip() else None
    asked = prompt("answer faithful", question=case.question, answer=answer, contexts=contexts)
    return float(ask(judge, asked, verdict))


@metric(needs=("answer",), calls="1", label="label_answer_relevance")
def answer_relevance_ares(case: Case, judge: Judge) -> float:
    """Whether an answer replies to the question (ARES).

    Formula: 1 if the judge says yes, else 0; 0 for an empty answer, of which it isn't asked.

    References
    ----------
    Saad-Falcon et al. 2024, arXiv:2311.09476.

    Examples
    --------
    >>> answer_relevance_ares(Case("Who?", answer=""), lambda prompt: "never asked")
    0.0

    """
    answer = given(case.answer)
    if not answer.strip():
        return 0.0
    return float(ask(judge, prompt("answer relevant", question=case.question, answer=answer), verdict))
