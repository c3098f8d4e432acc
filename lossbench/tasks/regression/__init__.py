"""One number to a sample."""

from lossbench.tasks.task import CORRELATION, ERROR, EXPLAINED, Metric, Page, Task, metrics, observed

ERRORS, RELATIVE, AGREEMENT = "Errors", "Relative errors", "Agreement"
OF_NUMBERS = (
    *metrics(
        "lower", ERRORS, bounds=ERROR,
        mae="mean absolute error", median_ae="median absolute error", rmse="root mean squared error",
    ),
    *metrics(
        "higher", AGREEMENT, bounds=EXPLAINED,
        r2="1 - sum of squared errors / that of predicting the mean of the targets",
    ),
)  # fmt: skip
"""The metrics of a predicted number that are computed after every epoch."""
CONTEXT = ("epoch", "features", "index", "inputs")
_FINAL = (
    *metrics(
        "lower", ERRORS, "end", bounds=ERROR,
        trimmed_rmse="RMSE without the tenth of the samples with the largest errors",
        max_error="largest absolute error",
        mse="mean squared error",
        log_cosh="mean log cosh of the error, in a form that does not overflow",
    ),
    *metrics(
        "lower", RELATIVE, "end", bounds=ERROR,
        nrmse="RMSE / standard deviation of the targets (of the population)",
        mape="mean of error / target, absolute: a fraction, not percent",
    ),
    *metrics(
        "lower", RELATIVE, "end", bounds=(0.0, 2.0),
        smape="mean of 2 error / (target + prediction), absolute: 0 to 2; 0 where both are 0",
    ),
    *metrics(
        "lower", RELATIVE, "end", bounds=ERROR,
        wmape="sum of errors / sum of targets, absolute",
    ),
    *metrics(
        "higher", AGREEMENT, "end", bounds=EXPLAINED,
        adjusted_r2="R2 adjusted for the number of inputs; only where there are more samples than inputs + 1",
        explained_variance="as R2, but a constant bias costs nothing",
    ),
    *metrics(
        "higher", AGREEMENT, "end", bounds=CORRELATION,
        spearman="Spearman's rank correlation",
        kendall="Kendall's rank correlation (tau-b)",
        concordance="Lin's concordance correlation, with variances over n",
    ),
)  # fmt: skip
_FIFTH = Metric(
    "mae_fifth", "lower",
    "MAE over fifth K of the samples, from the lowest targets to the highest; equal targets share their mean error",
    "MAE over each fifth of the samples, from the lowest targets to the highest", "end", "fifth", bounds=ERROR,
)  # fmt: skip

TASKS = (
    Task(
        name="regression",
        shapes="... , ... -> ...",
        title="regression",
        package=__name__,
        target="number",
        baseline="mse",
        link="identity",
        metrics=(
            *OF_NUMBERS,
            *_FINAL,
            *metrics(
                "lower", ERRORS, bounds=ERROR,
                mae_balanced="mean of `mae_many`, `mae_medium` and `mae_few`",
                mae_many="MAE where a bin of the target has more than 100 training samples, if the targets are skewed",
                mae_medium="MAE where a bin of the target has 20 to 100 training samples, if the targets are skewed",
                mae_few="MAE where a bin of the target has fewer than 20 training samples, if the targets are skewed",
            ),
            _FIFTH,
            *observed([*OF_NUMBERS, *_FINAL]),
            *observed([_FIFTH]),
        ),
        columns=("mae", "rmse", "median_ae", "r2", "mae_balanced", "mae_few", "mae_observed"),
        monitor="mae_observed",
        context=CONTEXT,
        axes=frozenset({"weighting", "mixup", "calibrate", "label_density", "contamination"}),
        weighed_by="bin_counts",
        curves="residual",
        advice={"weighting": " or lds."},
        pages=(
            Page("Regression", "The target is a number, without outliers.", ""),
            Page("Outliers", "Regression where some targets are far off: errors or heavy tails.", "outliers"),
            Page("Imbalanced regression", "Rare targets matter as much as common ones.", "imbalance"),
        ),
    ),
)  # fmt: skip
