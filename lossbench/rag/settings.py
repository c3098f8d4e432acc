"""The keys of `rag` in the config: who judges, who embeds, and the parameters of the metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lossbench.errors import ConfigError
from lossbench.ranges import takes

ASPECTS = {"coherence": "Is the answer well ordered, and free of contradictions?"}


@takes(
    judge="text or null",
    model="text or null",
    temperature="number [0, 2] or null",
    parallel="int [1, 64]",
    timeout="number (0, 3600]",
    retries="int [0, 20]",
    embedder="text",
    metrics="text or list of 1+ text or null",
    name="text or null",
    top_k="int [1, inf) or null",
    questions="int [1, 20]",
    correctness_weight="number [0, 1]",
    conciseness_weight="number [0, 1]",
    aspects="dict",
    strictness="int [1, 99]",
    confidence="number (0, 1)",
    ppi="one of: plain, tuned",
)
@dataclass(frozen=True)
class Settings:
    """What `conf/rag.yaml` has under `rag`, by the same names.

    Parameters
    ----------
    judge, model : str or None
        The address of an endpoint and its model, or the `module.function` of a judge.
    temperature : float or None
        Of the judge; None leaves it out of the request.
    parallel, timeout, retries : int, float, int
        Cases judged at a time; seconds for a reply; further tries of a request that failed.
    embedder : str
        "lexical", "wordllama", or the `module.function` of one.
    metrics : list of str or None
        Those to be computed; None: all that can be.
    name : str or None
        Of the folder of the results; None: made from the names of the files.
    top_k : int or None
        Contexts that `context_precision` looks at; None: all.
    questions : int
        Questions that a judge makes from an answer for `answer_relevance`.
    correctness_weight, conciseness_weight : float
        Weight of the claims in `answer_correctness`, and of conciseness in `summarisation`.
    aspects : dict of str to str
        Names and questions of `aspect_critique`.
    strictness : int
        Verdicts of which the majority counts, odd.
    confidence : float
        Of each interval.
    ppi : str
        "plain" or "tuned" (PPI++).

    Raises
    ------
    ConfigError
        If `strictness` is even, or an aspect is not a name with a question.

    Examples
    --------
    >>> Settings().strictness
    1

    """

    judge: str | None = None
    model: str | None = None
    temperature: float | None = 0.0
    parallel: int = 4
    timeout: float = 60.0
    retries: int = 5
    embedder: str = "lexical"
    metrics: list[str] | None = None
    name: str | None = None
    top_k: int | None = None
    questions: int = 3
    correctness_weight: float = 0.75
    conciseness_weight: float = 0.5
    aspects: Mapping[str, str] = field(default_factory=lambda: dict(ASPECTS))
    strictness: int = 1
    confidence: float = 0.95
    ppi: str = "plain"

    def __post_init__(self) -> None:
        """Check what a range can't say."""
        if self.strictness % 2 == 0:
            raise ConfigError(
                f"rag.strictness={self.strictness}: an even number of verdicts may have no majority. Give an odd one."
            )
        for name, question in self.aspects.items():
            if not isinstance(question, str) or not question.strip():
                raise ConfigError(
                    f"rag.aspects.{name}={question}: an aspect is a question that the judge answers with yes or no, "
                    f'such as rag.aspects.{name}="Is the answer polite?".'
                )
