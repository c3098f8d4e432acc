"""Facts about metrics by their names: which way is better, which one decides, which are there only at the end."""

from lossbench.errors import ConfigError

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
_INTERVALS = [f"{name}_{percent}" for name in ("coverage_error", "width") for percent in (50, 80, 90, 95)]
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
    "vae": ["active_units", "frechet", "kl", "mse", "neg_elbo", "reconstruction"],
    "gan": _OF_SAMPLES,
    "denoising": _OF_SAMPLES,
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

_LOWER_IS_BETTER = (
    "nll", "brier", "ece", "mae", "rmse", "median_ae", "memorised", "loss",
    "coverage_error", "ranking_loss",
    "cer", "wer",
    "frechet", "kl", "neg_elbo", "reconstruction",
    "crps", "pinball", "calibration_error", "width", "poisson_deviance",
    "adaptive_ece", "aurc", "classwise_ece", "mce", "fdr", "fnr", "fpr", "macro_fdr", "macro_fnr", "macro_fpr",
    "log_cosh", "mape", "max_error", "mse", "nrmse", "smape", "trimmed_rmse", "wmape",
    "collapsed", "mmd", "mode_kl", "sliced_wasserstein",
)  # fmt: skip


def measured_as(task: str, learner: str) -> str:
    """Return the key of the tables here: the way of learning where it has metrics of its own, else the task.

    Examples
    --------
    >>> measured_as("generation", "vae"), measured_as("binary", "supervised")
    ('vae', 'binary')

    """
    return learner if learner in COLUMNS else task


def higher_is_better(metric: str) -> bool:
    """Tell the direction of a metric by its name, with or without a prefix such as `test/` or `clean/`.

    Examples
    --------
    >>> higher_is_better("accuracy"), higher_is_better("clean/nll"), higher_is_better("mae_observed")
    (True, False, False)
    >>> higher_is_better("recall/3"), higher_is_better("test/mae_fifth/1")
    (True, False)

    """
    name = next(part for part in reversed(metric.split("/")) if not part.isdigit())
    return not name.startswith(_LOWER_IS_BETTER)


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
