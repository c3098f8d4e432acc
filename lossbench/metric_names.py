"""Facts about metrics by their names: which way is better, which one decides."""

MONITOR = {
    "regression": "mae_observed",
    "binary": "balanced_accuracy",
    "multiclass": "balanced_accuracy",
    "sequence": "cer",
    "vae": "neg_elbo",
}
"""The metric of each task that picks the best validation epoch."""

BASELINE = {"regression": "mse", "binary": "bce", "multiclass": "cross_entropy"}
"""The plain loss of each task of losses, by which others are calibrated: it takes the same outputs and targets."""

COLUMNS = {
    "regression": ["mae", "rmse", "median_ae", "r2", "mae_balanced", "mae_few", "mae_observed"],
    "binary": ["balanced_accuracy", "accuracy", "macro_f1", "auroc", "nll", "brier", "ece"],
    "multiclass": ["balanced_accuracy", "accuracy", "macro_f1", "auroc", "nll", "brier", "ece"],
    "sequence": ["cer", "cer_beam", "wer", "exact_line", "nll", "frame_accuracy"],
    "vae": ["neg_elbo", "reconstruction", "kl", "active_units", "mse"],
}
"""The metrics that a printed table shows, the first one being what it is sorted by."""

_CLASSIFICATION = [
    "accuracy", "accuracy_few", "accuracy_many", "accuracy_medium", "auroc", "average_precision", "balanced_accuracy",
    "brier", "ece", "macro_f1", "nll",
]  # fmt: skip
METRICS = {
    "regression": [
        *(f"{name}{suffix}" for name in ("mae", "median_ae", "r2", "rmse") for suffix in ("", "_observed")),
        *(f"mae_{group}" for group in ("balanced", "few", "many", "medium")),
    ],
    "binary": _CLASSIFICATION,
    "multiclass": _CLASSIFICATION,
    "sequence": ["cer", "cer_beam", "exact_line", "frame_accuracy", "nll", "wer"],
    "vae": ["active_units", "kl", "mse", "neg_elbo", "reconstruction"],
}
"""The metrics that a task can be sorted or monitored by; there is also the recall of each class: `recall/0` ..."""

_LOWER_IS_BETTER = (
    "nll", "brier", "ece", "mae", "rmse", "median_ae", "memorised", "loss",
    "cer", "wer",
    "kl", "mse", "neg_elbo", "reconstruction",
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

    """
    return not metric.rpartition("/")[2].startswith(_LOWER_IS_BETTER)
