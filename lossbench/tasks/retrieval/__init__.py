"""Passages to a query, among all that there are: those that answer it shall come first."""

from dataclasses import replace

from lossbench.tasks.task import SHARE, Metric, Page, Task, metrics

_FOUND = (
    *metrics(
        "higher", "Ranking", bounds=SHARE,
        ndcg_at_10="nDCG of the first 10 passages: gains 2^grade - 1, divided by log2(1 + rank), over the best order's",
        ndcg_linear_at_10="the same with the grades as gains, as trec_eval has it",
        mrr="1 over the rank of the first relevant passage; 0 if it is none of the first 100",
        map_at_10="average precision: precisions at the ranks of relevant passages among the first 10, their sum over"
        " all that are relevant",
        context_precision_at_10="the same over those that are relevant among the first 10: context precision@10",
        r_precision="share of the relevant ones among as many first passages as are relevant",
    ),
    *metrics(
        "higher", "Recall", bounds=SHARE,
        recall_at_1="share of the relevant passages that come first",
        recall_at_5="share of the relevant passages among the first 5: context recall by passage",
        recall_at_10="the same among the first 10",
        recall_at_100="the same among the first 100",
        hit_rate_at_1="share of the queries whose first passage is relevant",
        hit_rate_at_10="share of the queries with a relevant passage among the first 10",
    ),
)  # fmt: skip


def _beside(prefix: str, group: str, what: str) -> list[Metric]:
    """Declare each metric again, of an order that no loss has made."""
    return [
        replace(each, name=f"{prefix}_{each.name}", better="neither", group=group, meaning=f"`{each.name}` of {what}")
        for each in _FOUND
    ]


_TYPED = "Typed questions"

TASKS = (
    Task(
        name="retrieval",
        title="retrieval of passages",
        package=__name__,
        target="passages",
        baseline="info_nce",
        link="identity",
        learner="bi_encoder",
        metrics=(
            *_FOUND,
            *metrics(
                "higher", _TYPED, bounds=SHARE,
                typed_ndcg_at_10="`ndcg_at_10` of the test queries that people typed, which share fewer words with an"
                " answer than a sentence taken out of it",
                typed_recall_at_10="`recall_at_10` of these",
            ),
            *metrics(
                "neither", _TYPED, bounds=SHARE,
                bm25_typed_ndcg_at_10="`typed_ndcg_at_10` of the order by BM25",
                bm25_typed_recall_at_10="`typed_recall_at_10` of the order by BM25",
            ),
            *_beside("bm25", "BM25", "the order by BM25, which learns nothing"),
            *_beside("random", "Random order", "a random order: its expectation"),
        ),
        columns=("ndcg_at_10", "typed_ndcg_at_10", "mrr", "map_at_10", "recall_at_10", "r_precision"),
        viewed=("ndcg_at_10", "mrr", "recall_at_10", "bm25_ndcg_at_10"),
        references=("bm25", "random"),
        monitor="ndcg_at_10",
        context=("epoch", "index", "teacher_scores"),
        stacked=False,
        pages=(Page("Retrieval", "Queries and passages, compared by cosines; those that answer shall come first."),),
    ),
)  # fmt: skip
