"""The distribution of a number."""

from lossbench.tasks.regression import CONTEXT, OF_NUMBERS
from lossbench.tasks.task import ERROR, SHARE, Metric, Page, Task, metrics, observed

INTERVALS = (50, 80, 90, 95)
"""The central intervals, in per cent."""
_GROUP = "Predicted distributions"

TASKS = (
    Task(
        name="distributional",
        shapes="... , ... -> ...",
        title="distributional regression",
        package=__name__,
        target="number",
        data=("regression",),
        baseline="gaussian_nll",
        link="",
        advice={
            "link": "its outputs become a distribution: @loss(task='distributional', "
            "link=lossbench.losses.distributions.gaussian, outputs=2, source=...), or another link of "
            "lossbench.losses.distributions."
        },
        metrics=(
            *metrics(
                "lower", _GROUP, bounds=ERROR,
                crps="continuous ranked probability score, against the observed target",
            ),
            *metrics("lower", _GROUP, nll="mean of -log of the density at the observed target"),
            *metrics("lower", _GROUP, bounds=ERROR, pinball="mean pinball loss of the quantiles 0.025 to 0.975"),
            *metrics(
                "lower", _GROUP, bounds=SHARE,
                calibration_error="mean distance of the share of targets below a quantile to its level",
            ),
            *(
                Metric(
                    f"coverage_{percent}", "neither", f"share of targets in the central {percent} %", _GROUP,
                    bounds=SHARE,
                )
                for percent in INTERVALS
            ),
            *(
                Metric(
                    f"coverage_error_{percent}", "lower", f"distance of `coverage_{percent}` to {percent} %", _GROUP,
                    bounds=SHARE,
                )
                for percent in INTERVALS
            ),
            *(
                Metric(
                    f"width_{percent}", "neither", f"mean width of the central {percent} % interval", _GROUP,
                    bounds=ERROR,
                )
                for percent in INTERVALS
            ),
            *OF_NUMBERS,
            *observed(OF_NUMBERS),
        ),
        columns=("crps", "nll", "calibration_error", "coverage_error_90", "width_90", "mae", "rmse"),
        monitor="crps",
        context=CONTEXT,
        axes=frozenset({"label_density", "contamination"}),
        pages=(Page("Distributional regression", "The spread of a number is predicted too."),),
    ),
)  # fmt: skip
