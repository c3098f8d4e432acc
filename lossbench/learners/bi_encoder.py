"""The learner for retrieval: one network maps queries and passages to vectors, whose cosines are compared."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench.errors import ConfigError
from lossbench.learners.learner import Called, Learner, in_full_precision
from lossbench.ranges import takes
from lossbench.seeding import torch_stream
from lossbench.tasks.problem import Kept
from lossbench.tasks.retrieval.metrics import ranked

CHUNK = 256
"""Passages that are embedded at a time."""


@takes(hard_negatives="int [0, inf)")
class BiEncoder(Learner):
    """Train a network by the cosines of the queries of a batch with passages: one that answers each, and hard ones.

    The passages of a batch of N queries are one relevant passage to each, of its highest grade, drawn where several
    have that; and as many hard negatives as are asked for. A passage counts once. The grade of each of them for each
    query is known from the list of the query, so that what answers two queries is no false negative of either.

    To measure it, all passages are embedded once in an evaluation, and of each query only the order of the first 100
    is kept.

    Parameters
    ----------
    hard_negatives : int
        To each query, so many of the passages that BM25 ranks first and that do not answer it.
    **common
        As for every `Learner`; the network maps tokens (N, L), int64, 0 being padding, to vectors (N, D). One with a
        method `embed` maps what this makes of texts instead (`SentenceVectors`); one with a method `weigh_by_rarity` is
        given the passages once, before it is trained.

    Raises
    ------
    ConfigError
        If the data have no passages, or lack what the loss, the network or the hard negatives need of them, or as many
        passages as there are to be hard negatives.

    References
    ----------
    Karpukhin et al. 2020, "Dense Passage Retrieval for Open-Domain Question Answering", arXiv:2004.04906.

    """

    passages: Tensor

    def __init__(self, hard_negatives: int, **common: Any) -> None:
        super().__init__(**common)
        self.hard_negatives = hard_negatives
        shared = self.problem.shared
        self._require(shared)
        embed = getattr(self.network, "embed", None)
        self.register_buffer("passages", shared["passages"] if embed is None else embed(shared["texts"]), False)
        if weigh := getattr(self.network, "weigh_by_rarity", None):
            weigh(self.passages)
        self._queries = {} if embed is None else {part: embed(shared[f"queries_{part}"]) for part in ("train", "test")}
        self._part = "test"
        self._embedded: Tensor | None = None

    def called_with(self, batch: Any) -> Called:
        """Return the scores of the passages of a batch for each query, and their grades."""
        chosen = self.passages_of(batch)
        queries, vectors = self.embed(self._inputs("train", batch)), self.embed(self.passages[chosen])
        known: dict[str, Any] = {"epoch": self.current_epoch, "index": batch.index}
        if "teacher_scores" in self.loss.step_context:
            known["teacher_scores"] = self._bm25("train", batch.index)[:, chosen.cpu()].to(queries)
        scores = self.compared(queries, vectors)
        return scores, grades_among(chosen, batch.target, batch.extras["grades"]), known

    def passages_of(self, batch: Any) -> Tensor:
        """Return the numbers (M,), ascending, of the passages of a batch."""
        grades = batch.extras["grades"]
        stream = torch_stream(self.seed, "passages", self.current_epoch, self.global_step)
        chance = torch.rand(grades.shape, generator=stream).to(grades.device) / 2
        chosen = batch.target.gather(1, (grades + chance).argmax(1, keepdim=True)).flatten()
        if self.hard_negatives:
            scores = self._bm25("train", batch.index)
            rows, columns = (batch.target >= 0).nonzero(as_tuple=True)
            answers = batch.target[rows, columns]
            scores = scores.index_put((rows.cpu(), answers.cpu()), torch.tensor(-torch.inf).to(scores))
            chosen = torch.cat([chosen, ranked(scores, self.hard_negatives).flatten().to(chosen)])
        return chosen.unique()

    def embed(self, inputs: Tensor) -> Tensor:
        """Return unit vectors (N, D) of queries or passages."""
        vectors = in_full_precision(self.network(inputs))
        if vectors.ndim != 2:
            raise ConfigError(
                f"learner.network gives outputs of shape {tuple(vectors.shape)} for {len(inputs)} texts; "
                "learner=bi_encoder needs one vector to each, shape (N, D)."
            )
        return F.normalize(vectors, dim=1)

    def compared(self, queries: Tensor, passages: Tensor) -> Tensor:
        """Return the cosines (N, M) of unit vectors; never in half precision, in which near passages are equal."""
        with torch.autocast(queries.device.type, enabled=False):
            return queries @ passages.T

    def on_validation_epoch_start(self) -> None:
        """Embed all passages."""
        super().on_validation_epoch_start()
        self._embedded = torch.cat([self.embed(some) for some in self.passages.split(CHUNK)])

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Keep what matters of a batch of queries, noting of which part they are."""
        self._part = self.problem.evaluated[dataloader_idx]
        super().validation_step(batch, batch_idx, dataloader_idx)

    def on_validation_epoch_end(self) -> None:
        """Compute the metrics of each part."""
        self._embedded = None
        super().on_validation_epoch_end()

    def kept(self, batch: Any) -> Kept:
        """Keep the order of passages, by the cosines and by BM25, and what answers the queries."""
        assert self._embedded is not None
        shared = self.problem.shared
        part = "test" if self._part == "test" else "train"  # validation queries are rows of the training part
        scores = self.compared(self.embed(self._inputs(part, batch)), self._embedded)
        by_bm25 = {"ranked_by_bm25": ranked(self._bm25(part, batch.index))} if self._has_bm25 else {}
        return {
            "ranked": ranked(self.loss.link(scores)),
            **by_bm25,
            **({"typed": batch.index < shared["questions"]} if part == "test" and "questions" in shared else {}),
            "target": batch.target,
            "grades": batch.extras["grades"],
            "passages": torch.full_like(batch.index, len(self.passages)),
            "index": batch.index,
        }

    @property
    def _has_bm25(self) -> bool:
        return "bm25_train" in self.problem.shared

    def _bm25(self, part: str, index: Tensor) -> Tensor:
        """Return the scores (N, M) by BM25 of some rows of a part of the source."""
        scores: Tensor = self.problem.shared[f"bm25_{part}"][index.cpu()]
        return scores

    def _inputs(self, part: str, batch: Any) -> Tensor:
        """Return what the network is given of queries."""
        if not self._queries:
            tokens: Tensor = batch.inputs
            return tokens
        return self._queries[part][batch.index.cpu()].to(self.passages)

    def _require(self, shared: Any) -> None:
        """Raise a `ConfigError` if the data lack something."""
        if "passages" not in shared:
            raise ConfigError(
                "learner=bi_encoder ranks the passages that come with the data, and these have none. "
                "Use data=help_topics, or data=pairs with a file of your own."
            )
        for what, asked in (
            (f"loss {self.loss.name}", "teacher_scores" in self.loss.step_context),
            (f"learner.hard_negatives={self.hard_negatives}", self.hard_negatives > 0),
        ):
            if asked and not self._has_bm25:
                raise ConfigError(f"{what} needs the scores of BM25, and these data have none (shared['bm25_train']).")
        if self.hard_negatives >= (count := len(shared["passages"])):
            raise ConfigError(
                f"learner.hard_negatives={self.hard_negatives}: the data have {count} passages, and one "
                f"at least answers a query. Use {count - 1} at most."
            )
        if hasattr(self.network, "embed") and "texts" not in shared:
            raise ConfigError("learner.network embeds texts, and these data have none (shared['texts']).")
        numbers, known = shared.get("vocabulary", 0), getattr(self.network, "vocabulary", None)
        if known is not None and known < numbers:
            raise ConfigError(
                f"learner.network.vocabulary={known} is below the {numbers} numbers of tokens that the data have. "
                f"Use learner.network.vocabulary={numbers}."
            )


def grades_among(chosen: Tensor, target: Tensor, grades: Tensor) -> Tensor:
    """Return the grades (N, M) of some passages (M,) for each query, by its own list.

    Parameters
    ----------
    chosen : Tensor (M,)
        Numbers of passages.
    target : Tensor (N, G)
        Numbers of the passages that answer each query, then -1.
    grades : Tensor (N, G)
        Their grades.

    Examples
    --------
    >>> grades_among(torch.tensor([3, 5, 8]), torch.tensor([[5, 8], [3, -1]]), torch.tensor([[2, 1], [1, 0]]))
    tensor([[0, 2, 1],
            [1, 0, 0]])

    """
    return ((target.unsqueeze(2) == chosen) * grades.unsqueeze(2)).sum(1)
