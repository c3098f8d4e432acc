"""Facts about metrics by their names: which way is better, which one decides, which are there only at the end."""

from typing import Literal

from lossbench.errors import ConfigError, nearest

VERSION = 2
"""Of what the metrics mean, in each record; a record without it has 1. Raise it when a number changes its meaning.

2: calibration errors of right-closed bins, one for confidence 1 no more; metrics of order and likelihoods of log-odds.
"""
MONITOR = {
    "regression": "mae_observed",
    "binary": "balanced_accuracy",
    "multiclass": "balanced_accuracy",
    "multilabel": "map",
    "sequence": "cer",
    "distributional": "crps",
    "count": "poisson_deviance",
    "vae": "neg_elbo",
    "gan": "sliced_wasserstein",
    "denoising": "sliced_wasserstein",
}
"""The metric of each task that picks the best validation epoch."""

BASELINE = {
    "regression": "mse",
    "binary": "bce",
    "multiclass": "cross_entropy",
    "multilabel": "multilabel_bce",
    "count": "poisson_nll",
}
"""The plain loss of each task of losses, by which others are calibrated: it takes the same outputs and targets."""

_OF_SAMPLES = [
    "sliced_wasserstein", "frechet", "modes_covered", "good_samples", "mmd", "mode_kl", "diversity", "collapsed",
]  # fmt: skip
COLUMNS = {
    "regression": ["mae", "rmse", "median_ae", "r2", "mae_balanced", "mae_few", "mae_observed"],
    "binary": ["balanced_accuracy", "accuracy", "macro_f1", "auroc", "nll", "brier", "ece"],
    "multiclass": ["balanced_accuracy", "accuracy", "macro_f1", "auroc", "nll", "brier", "ece"],
    "multilabel": ["map", "macro_f1", "micro_f1", "hamming_accuracy", "subset_accuracy", "nll", "ece"],
    "sequence": ["cer", "cer_beam", "wer", "exact_line", "nll", "frame_accuracy"],
    "vae": ["neg_elbo", "reconstruction", "kl", "active_units", "mse", "frechet"],
    "distributional": ["crps", "nll", "calibration_error", "coverage_error_90", "width_90", "mae", "rmse"],
    "count": ["poisson_deviance", "d2", "mae", "rmse", "mae_observed", "r2"],
    "gan": _OF_SAMPLES,
    "denoising": _OF_SAMPLES,
}
"""The metrics that a printed table shows, the first one being what it is sorted by."""

_CLASSIFICATION = [
    "accuracy", "accuracy_few", "accuracy_many", "accuracy_medium", "auroc", "average_precision", "balanced_accuracy",
    "brier", "ece", "macro_f1", "nll",
]  # fmt: skip
_NUMBERS = [f"{name}{suffix}" for name in ("mae", "median_ae", "r2", "rmse") for suffix in ("", "_observed")]
_INTERVALS = [f"coverage_error_{percent}" for percent in (50, 80, 90, 95)]
METRICS = {
    "regression": [
        *_NUMBERS,
        *(f"mae_{group}" for group in ("balanced", "few", "many", "medium")),
    ],
    "binary": _CLASSIFICATION,
    "multiclass": _CLASSIFICATION,
    "multilabel": [
        "auroc",
        "brier",
        "coverage_error",
        "ece",
        "hamming_accuracy",
        "macro_f1",
        "macro_precision",
        "macro_recall",
        "map",
        "micro_f1",
        "micro_precision",
        "micro_recall",
        "nll",
        "ranking_loss",
        "subset_accuracy",
    ],
    "distributional": ["calibration_error", *_INTERVALS, "crps", "nll", "pinball", *_NUMBERS],
    "count": ["d2", *_NUMBERS, "poisson_deviance"],
    "sequence": ["cer", "cer_beam", "exact_line", "frame_accuracy", "nll", "wer"],
    "vae": ["frechet", "mse", "neg_elbo", "reconstruction"],
    "gan": [name for name in _OF_SAMPLES if name != "diversity"],
    "denoising": [name for name in _OF_SAMPLES if name != "diversity"],
}
"""The metrics that a task can be sorted or monitored by; there is also the recall of each class: `recall/0` ..."""

_SHARES = ("f0.5", "f2", "fdr", "fnr", "fpr", "npv", "precision", "specificity")
_FURTHER = [
    "adaptive_ece", "aurc", "classwise_ece", "cohen_kappa", "g_mean", "mcc", "mce", "micro_auroc",
    "micro_average_precision", "worst_class_recall",
]  # fmt: skip
_FURTHER_NUMBERS = (
    "adjusted_r2", "concordance", "explained_variance", "kendall", "log_cosh", "mape", "max_error", "mse", "nrmse",
    "smape", "spearman", "trimmed_rmse", "wmape",
)  # fmt: skip
FURTHER = {
    "regression": [f"{name}{suffix}" for name in _FURTHER_NUMBERS for suffix in ("", "_observed")],
    "binary": sorted([*_FURTHER, *_SHARES, "auprc", "f1", "recall"]),
    "multiclass": sorted([*_FURTHER, *(f"macro_{share}" for share in _SHARES), "ovo_auroc", "top5_accuracy"]),
}
"""The metrics that are computed once, at the end of a run: losses can be sorted by them, an epoch not picked."""

NUMBERED = ("recall/", "precision/", "f1/", "ap/", "mae_fifth/", "mae_fifth_observed/")
"""The metrics of each class or label, or of each fifth of the targets; most are there only at the end of a run."""

SAME_AS = {
    **dict.fromkeys(("micro_f1", "micro_precision", "micro_recall"), "accuracy"),
    "macro_recall": "balanced_accuracy",
}
"""Metrics that are the same as another one where each sample has one class."""

Direction = Literal["higher", "lower", "neither"]
_BETTER: dict[Direction, tuple[str, ...]] = {
    "higher": (
        "accuracy", "accuracy_few", "accuracy_many", "accuracy_medium", "auroc", "average_precision",
        "balanced_accuracy", "macro_f1", "recall", "precision", "f1", "ap", "map", "micro_f1",
        "macro_precision", "micro_precision", "macro_recall", "micro_recall", "hamming_accuracy", "subset_accuracy",
        "f0.5", "f2", "npv", "specificity", "macro_f0.5", "macro_f2", "macro_npv", "macro_specificity",
        "auprc", "cohen_kappa", "g_mean", "mcc", "micro_auroc", "micro_average_precision", "ovo_auroc",
        "top5_accuracy", "worst_class_recall",
        "clean_accuracy", "label_precision", "label_recall",
        "r2", "adjusted_r2", "concordance", "explained_variance", "kendall", "spearman", "d2",
        "exact_line", "frame_accuracy", "good_samples", "modes_covered",
    ),
    "lower": (
        "nll", "brier", "ece", "adaptive_ece", "classwise_ece", "mce", "aurc",
        "fdr", "fnr", "fpr", "macro_fdr", "macro_fnr", "macro_fpr", "coverage_error", "ranking_loss", "memorised",
        "mae", "median_ae", "rmse", "mae_balanced", "mae_few", "mae_many", "mae_medium", "mae_fifth",
        "log_cosh", "mape", "max_error", "mse", "nrmse", "smape", "trimmed_rmse", "wmape",
        "crps", "pinball", "calibration_error", *(f"coverage_error_{percent}" for percent in (50, 80, 90, 95)),
        "poisson_deviance", "cer", "cer_beam", "wer",
        "neg_elbo", "reconstruction", "frechet", "sliced_wasserstein", "mmd", "mode_kl", "collapsed", "loss",
    ),
    "neither": (
        # The best share of targets inside is the nominal one, and a narrow interval is good only if it is kept to.
        *(f"{name}_{percent}" for name in ("coverage", "width") for percent in (50, 80, 90, 95)),
        "blank_share",  # of frames: as many as the lines need
        "active_units", "kl",  # what a code tells; at 0 it tells nothing
        "diversity",  # 1 is that of the data
        "temperature",
    ),
}  # fmt: skip
NEITHER = "is neither better where it is higher nor where it is lower: no loss and no epoch can be chosen by it."
DIRECTIONS: dict[str, Direction] = {name: way for way, names in _BETTER.items() for name in names}
"""Which way each metric is better, by its name without part, number and `_observed`; "neither" sorts nothing."""


def measured_as(task: str, learner: str) -> str:
    """Return the key of the tables here: the way of learning where it has metrics of its own, else the task.

    Examples
    --------
    >>> measured_as("generation", "vae"), measured_as("binary", "supervised")
    ('vae', 'binary')

    """
    return learner if learner in COLUMNS else task


def direction(metric: str) -> Direction:
    """Tell which way a metric is better: "higher", "lower" or "neither".

    Parameters
    ----------
    metric : str
        A name, with or without what comes before it (`test/`, `val/clean/`), its number and `_observed`. Under `train/`
        there are also the terms of a loss, by names of its own: no loss is better for them.

    Raises
    ------
    ConfigError
        If there is no such metric.

    Examples
    --------
    >>> direction("accuracy"), direction("clean/nll"), direction("mae_observed"), direction("coverage_90")
    ('higher', 'lower', 'lower', 'neither')
    >>> direction("recall/3"), direction("test/mae_fifth_observed/1"), direction("train/my_term")
    ('higher', 'lower', 'neither')

    """
    parts = [part for part in metric.split("/") if not part.isdigit()] or [metric]
    name = parts[-1].removesuffix("_observed")
    if name not in DIRECTIONS and parts[0] == "train":
        return "neither"
    if name not in DIRECTIONS:
        raise ConfigError(f"metric {metric} is not known, nor which way it is better. {nearest(name, DIRECTIONS)}")
    return DIRECTIONS[name]


def higher_is_better(metric: str) -> bool:
    """Tell whether a metric that sorts or picks is better where it is higher.

    Raises
    ------
    ConfigError
        If neither is better, or there is no such metric.

    """
    way = direction(metric)
    if way == "neither":
        raise ConfigError(f"{metric} {NEITHER}")
    return way == "higher"


def numbered_at_every_epoch(task: str) -> tuple[str, ...]:
    """Return how those of `NUMBERED` start that a task has at every epoch."""
    return ("ap/", "f1/") if task == "multilabel" else ("recall/",)


def require_epochs(metric: str, select: str, task: str) -> None:
    """Raise a `ConfigError` if an epoch is to be chosen by its history, which lacks a metric of the end of a run."""
    only_at_the_end = metric in FURTHER.get(task, []) or (
        metric.startswith(NUMBERED) and not metric.startswith(numbered_at_every_epoch(task))
    )
    if only_at_the_end and select not in ("last", "best_val"):
        raise ConfigError(
            f"compare.metric={metric} is computed only at the last and at the best validation epoch of a run, not at "
            f"every epoch as compare.select={select} needs. Use compare.select=last or best_val, or another metric."
        )
