"""How numbers and names are written: digits that fit the interval, p-values, seeds, words for metrics."""

import math
import re
from collections.abc import Iterable, Mapping
from string import ascii_letters
from typing import Protocol

from lossbench.compare.numbers.analysis import Analysis, Options, span
from lossbench.compare.numbers.seeds import SeedsNeeded
from lossbench.compare.numbers.statistics import BCA_FROM
from lossbench.tasks import own_tasks
from lossbench.tasks.task import Task

MOST_TOLD = 1000
"""Larger numbers of seeds are written as more than this."""


class Bounded(Protocol):
    """An interval: of a mean or of a difference."""

    @property
    def mean(self) -> float:
        """The middle."""

    @property
    def low(self) -> float:
        """The lower bound."""

    @property
    def high(self) -> float:
        """The upper bound."""

    @property
    def kind(self) -> str:
        """What the bounds are."""

    @property
    def note(self) -> str:
        """Why there are none, of several runs."""


def words(metric: str) -> str:
    """Write the name of a metric as words.

    Examples
    --------
    >>> words("balanced_accuracy"), words("nll"), words("recall/3"), words("ndcg_at_10"), words("tar_at_far_01")
    ('balanced accuracy', 'NLL', 'recall, class 3', 'nDCG@10', 'TAR at FAR 1 %')
    >>> words("bm25_r_precision"), words("rouge_l"), words("chrf")
    ('BM25 R-precision', 'ROUGE-L', 'chrF')

    """
    name, of, number = metric.rpartition("/")
    if of and number.isdigit():
        per = "label" if name in _OF_LABELS else "fifth" if name in _OF_FIFTHS else "class"
        return f"{words(name)}{'' if per == 'fifth' else f', {per}'} {number}"
    if metric in _NAMES:
        return _NAMES[metric]
    text = " ".join(_WORDS.get(word, word) for word in metric.replace("_", " ").split(" "))
    for pattern, written in _SIGNS:
        text = pattern.sub(written, text)
    return text


_NUMBERED = {(metric.name, metric.per) for task in own_tasks().values() for metric in task.metrics if metric.per}
_OF_FIFTHS = {name for name, per in _NUMBERED if per == "fifth"}
_OF_LABELS = {name for name, per in _NUMBERED if per == "label"} - {name for name, per in _NUMBERED if per == "class"}
_UPPER = (
    "ae", "ap", "ap50", "ap75", "ar", "auc", "auprc", "aurc", "auroc", "bleu", "bm25", "cer", "crps", "d2", "ece",
    "eer", "elbo", "f0.5", "f1", "f2", "fdr", "fnr", "fpr", "kl", "mae", "mape", "mcc", "mce", "meteor", "mmd", "mrr",
    "mse", "nll", "nmi", "npv", "nrmse", "pq", "psnr", "r2", "rmse", "rouge", "rq", "smape", "sq", "ssim", "ter",
    "wer", "whdr", "wmape",
)  # fmt: skip
_WORDS = {
    **{word: word.upper() for word in _UPPER}, "brier": "Brier", "chrf": "chrF", "cohen": "Cohen", "dice": "Dice",
    "g": "G", "hamming": "Hamming", "hausdorff": "Hausdorff", "poisson": "Poisson",
    "iou": "IoU", "kendall": "Kendall", "map": "mAP", "miou": "mIoU", "ndcg": "nDCG", "neg": "negative",
    "ovo": "one-vs-one", "spearman": "Spearman", "top5": "top-5",
    "frechet": "Fréchet distance", "voc11": "VOC 11", "wasserstein": "Wasserstein",
}  # fmt: skip
_NAMES = {
    "map_at_r": "mAP@R", "tar_at_far_01": "TAR at FAR 1 %",
    "tar_at_far_001": "TAR at FAR 0.1 %",
}  # fmt: skip
_SIGNS = (
    (re.compile(r" at (\d+)$"), lambda found: f"@{found[1]}"),
    (re.compile(r"^(.* )?r precision$"), lambda found: f"{found[1] or ''}R-precision"),
    (re.compile(r"^ROUGE (\w)$"), lambda found: f"ROUGE-{found[1].upper()}"),
)


def decimals(intervals: Iterable[Bounded]) -> int:
    """Give the digits behind the point that the width of the intervals deserves, the same for a whole column."""
    known = list(intervals)
    halves = sorted((each.high - each.low) / 2 for each in known if math.isfinite(each.high) and each.high > each.low)
    largest = max((abs(each.mean) for each in known), default=0.0)
    finest = 1 - math.floor(math.log10(halves[len(halves) // 2])) if halves else 3
    most = 1 if largest >= 100 else 4
    return min(max(finest, 3 if largest < 1 else 2), most) if most > 1 else max(0, min(finest, most))


def with_interval(interval: Bounded, digits: int = 3, sign: str = "") -> str:
    """Write a mean and its interval: the half-width where the bounds are symmetric, both bounds where they are not.

    Bounds are not symmetric of a bootstrap, and where one was cut at the bounds of the metric.

    Examples
    --------
    >>> from lossbench.compare.numbers.statistics import Interval
    >>> with_interval(Interval(3, 0.91234, 0.01, 0.9, 0.92468, "95% Student t"))
    '0.912 ± 0.012'
    >>> with_interval(Interval(3, 0.91234, 0.01, 0.9, 0.925, "95% BCa bootstrap"))
    '0.912 [0.900, 0.925]'
    >>> with_interval(Interval(3, 0.9, 0.0, math.nan, math.nan, "95% Student t", "no spread, too coarse to tell"))
    '0.900 (no spread)'

    """
    mean = f"{interval.mean:{sign}.{digits}f}"
    if not math.isfinite(interval.low):
        return f"{mean} (no spread)" if interval.note else mean
    cut = abs(interval.high + interval.low - 2 * interval.mean) > 1e-6 * (interval.high - interval.low)
    if "BCa" in interval.kind or cut:
        return f"{mean} {bounds(interval, digits, sign)}"
    return f"{mean} ± {(interval.high - interval.low) / 2:.{digits}f}"


def in_short(letters: str) -> str:
    """Write the letters of groups, runs of four and more as from and to.

    Examples
    --------
    >>> in_short("abd"), in_short("abdfghijlqrstu"), in_short("yzABa'")
    ('abd', 'abd f–j l q–u', "y–B a'")

    """
    runs: list[list[str]] = []
    for letter in re.findall("[a-zA-Z]'*", letters):
        follows = runs and letter in ascii_letters and runs[-1][-1] + letter in ascii_letters
        runs = [*runs[:-1], [*runs[-1], letter]] if follows else [*runs, [letter]]
    text = "".join(f" {run[0]}–{run[-1]} " if len(run) > 3 else "".join(run) for run in runs)
    return " ".join(text.split())


def interval_words(options: Options) -> str:
    """Say what stands beside a mean.

    Examples
    --------
    >>> interval_words(Options()), interval_words(Options(interval="bca"))
    ('half-width of the 95 % Student-t interval', '95 % BCa interval (Student t of fewer than 15 runs)')

    """
    confidence = f"{100 * options.confidence:g} %"
    if options.interval == "t":
        return f"half-width of the {confidence} Student-t interval"
    return f"{confidence} BCa interval (Student t of fewer than {BCA_FROM} runs)"


def bounds(interval: Bounded, digits: int = 3, sign: str = "") -> str:
    """Write the bounds of an interval."""
    return f"[{interval.low:{sign}.{digits}f}, {interval.high:{sign}.{digits}f}]"


def p_value(p: float) -> str:
    """Write a p-value.

    Examples
    --------
    >>> p_value(0.04321), p_value(0.00001), p_value(float("nan"))
    ('0.043', '<0.001', '–')

    """
    return "–" if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def equals(p: float) -> str:
    """Write "p = 0.043" or "p < 0.001"."""
    return f"p {p_value(p).replace('<', '< ')}" if p < 0.001 else f"p = {p_value(p)}"


def seeds_range(seeds: SeedsNeeded) -> str:
    """Write the range of the number of seeds that are needed.

    Examples
    --------
    >>> seeds_range(SeedsNeeded(34, 14, 120)), seeds_range(SeedsNeeded(34, 14, None)), seeds_range(SeedsNeeded(2, 2, 2))
    ('14 to 120', '14 or more', '2')

    """
    if seeds.low is None or seeds.low > MOST_TOLD:
        return f"more than {MOST_TOLD}"
    if seeds.high is None or seeds.high > MOST_TOLD:
        return f"{seeds.low} or more"
    return f"{seeds.low} to {seeds.high}" if seeds.low < seeds.high else str(seeds.low)


def listed(names: Iterable[str], conjunction: str = "and", most: int = 6) -> str:
    """Write names as an enumeration, the rest of a long one as a number."""
    known = list(names)
    if len(known) > most:
        known = [*known[: most - 1], f"{len(known) - most + 1} others"]
    return known[0] if len(known) == 1 else ", ".join(known[:-1]) + f" {conjunction} {known[-1]}" if known else ""


def better_is(metric: str, task: Task) -> str:
    """Say which way is better."""
    way = task.direction(metric)
    return "neither way is better" if way == "neither" else f"{way} is better"


def told_far(far: Mapping[str, list[int]], runs: Mapping[str, int]) -> str:
    """Say which runs are far from the others of their loss (`far_runs`); `runs` has their number by loss.

    Examples
    --------
    >>> told_far({"mae": [3]}, {"mae": 6})
    'Far from the other runs of the loss: 1 of 6 runs of mae (seed 3).'

    """
    told = [
        f"{len(seeds)} of {runs[label]} runs of {label} (seed{'s' if len(seeds) > 1 else ''} {span(seeds)})"
        for label, seeds in far.items()
    ]
    return f"Far from the other runs of the loss: {listed(told)}."


def missing_lines(analysis: Analysis) -> list[str]:
    """Say which cells are not in the numbers, and why: a line for each, or for all alike where there are many."""
    lines = []
    for label, reasons in analysis.missing.items():
        whats: dict[str, list[int]] = {}
        for seed, reason in reasons.items():
            whats.setdefault(reason, []).append(seed)
        for reason, seeds in whats.items():
            if len(seeds) > 3:
                lines.append(f"{label} seeds {span(seeds)}: {reason}")
            else:
                lines += [f"{label} seed {seed}: {reason}" for seed in seeds]
    return lines + analysis.comparison.superseded
