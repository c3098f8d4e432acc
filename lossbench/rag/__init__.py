"""Metrics of retrieval-augmented generation: what was retrieved, what was answered, and what a judge says of both."""

from lossbench.rag.asking import JudgeFailed, Unparsable
from lossbench.rag.cases import Case, case_of, read_cases
from lossbench.rag.declared import METRICS, Metric
from lossbench.rag.embedders import embedder_of, lexical
from lossbench.rag.evaluate import Measure, evaluate, measures_for
from lossbench.rag.judge import Remembering, judge_of
from lossbench.rag.ppi import Powered, prediction_powered_mean
from lossbench.rag.report import Difference, Summary, differences, summaries
from lossbench.rag.settings import Settings

__all__ = [
    "METRICS",
    "Case",
    "Difference",
    "JudgeFailed",
    "Measure",
    "Metric",
    "Powered",
    "Remembering",
    "Settings",
    "Summary",
    "Unparsable",
    "case_of",
    "differences",
    "embedder_of",
    "evaluate",
    "judge_of",
    "lexical",
    "measures_for",
    "prediction_powered_mean",
    "read_cases",
    "summaries",
]
