"""One count to a sample: 0, 1, 2 ..."""

from lossbench.tasks.regression import CONTEXT, OF_NUMBERS
from lossbench.tasks.task import ERROR, EXPLAINED, Page, Task, metrics, observed

TASKS = (
    Task(
        name="count",
        shapes="... , ... -> ...",
        title="regression of counts",
        package=__name__,
        target="count",
        served_by=("count", "regression"),
        baseline="poisson_nll",
        link="exponential",
        metrics=(
            *metrics(
                "lower", "Counts", bounds=ERROR,
                poisson_deviance="mean Poisson deviance of the counts; predictions below 0.01 count as 0.01",
            ),
            *metrics(
                "higher", "Counts", bounds=EXPLAINED,
                d2="share of the Poisson deviance that is explained: 1 is perfect, 0 is as good as the mean",
            ),
            *OF_NUMBERS,
            *observed(OF_NUMBERS),
        ),
        columns=("poisson_deviance", "d2", "mae", "rmse", "mae_observed", "r2"),
        monitor="poisson_deviance",
        context=CONTEXT,
        axes=frozenset({"calibrate"}),
        pages=(Page("Counts", "The target is a number of events: 0, 1, 2 ..."),),
    ),
)  # fmt: skip
