"""All recorded metrics of a comparison, in groups of what they say."""

from lossbench.compare.analysis import Analysis
from lossbench.compare.table import Table, means_of
from lossbench.compare.wording import counted, listed, words
from lossbench.metric_names import direction

_SHARES = ["precision", "recall", "f1", "f2", "f0.5", "specificity", "npv", "fpr", "fdr", "fnr"]
_ERRORS = ["mae", "median_ae", "rmse", "trimmed_rmse", "max_error", "mse", "log_cosh"]
_RELATIVE = ["nrmse", "mape", "smape", "wmape"]
_AGREEMENT = ["r2", "adjusted_r2", "explained_variance", "spearman", "kendall", "concordance"]
GROUPS = {
    "Predicted classes": [
        "accuracy", "top5_accuracy", "balanced_accuracy", "worst_class_recall", "g_mean", "mcc", "cohen_kappa",
        "accuracy_many", "accuracy_medium", "accuracy_few", "hamming_accuracy", "subset_accuracy",
    ],
    "Each class against the rest": [
        *_SHARES, *(f"macro_{name}" for name in _SHARES), "micro_precision", "micro_recall", "micro_f1",
    ],
    "Order of the probabilities": [
        "auroc", "ovo_auroc", "micro_auroc", "average_precision", "micro_average_precision", "auprc", "map",
        "ranking_loss", "coverage_error",
    ],
    "Probabilities and confidence": ["nll", "brier", "ece", "mce", "adaptive_ece", "classwise_ece", "aurc"],
    "Predicted distributions": [
        "crps", "pinball", "calibration_error",
        *(f"{name}_{percent}" for name in ("coverage", "coverage_error", "width") for percent in (50, 80, 90, 95)),
    ],
    "Counts": ["poisson_deviance", "d2"],
    "Errors": [*_ERRORS, "mae_balanced", "mae_many", "mae_medium", "mae_few"],
    "Relative errors": _RELATIVE,
    "Agreement": _AGREEMENT,
    "Against the target as observed": [f"{name}_observed" for name in (*_ERRORS, *_RELATIVE, *_AGREEMENT)],
}  # fmt: skip
NUMBERED = {
    "recall": "Recall of each class",
    "precision": "Precision of each class",
    "f1": "F1 of each class",
    "ap": "Average precision of each label",
    "mae_fifth": "MAE over each fifth of the samples, from the lowest targets to the highest",
}
MOST_COLUMNS = 20
"""The metrics of more classes are only in table.csv."""


def group_tables(analysis: Analysis) -> dict[str, Table]:
    """Make a table for each group of metrics that was recorded, by its title; what is in no group comes last."""
    groups = {title: [name for name in names if _says_more(analysis, name)] for title, names in GROUPS.items()}
    for kind, title in NUMBERED.items():
        found = [name for name in analysis.columns if name.startswith(f"{kind}/")]
        groups[title] = sorted(found, key=lambda name: int(name.rpartition("/")[2]))
    grouped = {name for names in GROUPS.values() for name in names}
    groups["Others"] = [name for name in analysis.columns if "/" not in name and name not in grouped]
    return {
        title: means_of(analysis, names, _caption(analysis, names))
        for title, names in groups.items()
        if names and (title not in NUMBERED.values() or len(names) <= MOST_COLUMNS)
    }


def _says_more(analysis: Analysis, name: str) -> bool:
    """Tell whether a metric was recorded; one against the observed target, whether it is not that against the truth."""
    if name not in analysis.columns or not name.endswith("_observed"):
        return name in analysis.columns
    clean = analysis.columns.get(name.removesuffix("_observed"))
    means = {label: each.mean for label, each in analysis.columns[name].intervals.items()}
    return clean is None or means != {label: each.mean for label, each in clean.intervals.items()}


def _caption(analysis: Analysis, names: list[str]) -> str:
    ways = {way: [words(name) for name in names if direction(name) == way] for way in ("higher", "lower", "neither")}
    found = {way: members for way, members in ways.items() if members}
    first, *others = found or ["higher"]
    way = {"higher": "higher is better", "lower": "lower is better", "neither": "neither way is better"}[first]
    way += "".join(f", but of {listed(found[other], most=len(names))} {other}" for other in others)
    most = max((each.n for each in analysis.main.intervals.values()), default=0)
    kind = "half-width of the {} Student-t" if analysis.options.interval == "t" else "{} BCa"
    return (
        f"Test set, {analysis.epoch}; mean and {kind.format(f'{100 * analysis.options.confidence:g} %')} interval over "
        f"up to {counted(most, 'run')}; {way}; best mean of each metric in bold."
    )
