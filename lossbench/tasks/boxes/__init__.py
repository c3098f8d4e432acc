"""Boxes that are brought to their truth by gradient steps, without a network."""

from lossbench.tasks.task import ERROR, SHARE, Page, Task, metrics

_ENDS, _WAY = "Where the boxes end", "The way there"

TASKS = (
    Task(
        name="boxes",
        title="regression of boxes",
        package=__name__,
        target="boxes",
        learner="free_boxes",
        baseline="box_l1",
        link="identity",
        metrics=(
            *metrics(
                "lower", _ENDS, bounds=ERROR,
                error="sum of the absolute errors of centre, width and height, mean over the pairs",
                error_apart="the same of pairs that did not overlap at the start",
                error_overlapping="the same of pairs that overlapped at the start",
            ),
            *metrics(
                "lower", _ENDS, bounds=SHARE,
                stuck="share of the pairs with an error above 1, the side of a target",
            ),
            *metrics("higher", _ENDS, bounds=SHARE, iou="mean IoU of the pairs"),
            *metrics("lower", _WAY, bounds=ERROR, error_sum="error summed over the steps so far, mean over the pairs"),
        ),
        columns=("error", "error_apart", "error_overlapping", "stuck", "iou", "error_sum"),
        monitor="error",
        context=("epoch", "index", "inputs"),
        stacked=False,
        pages=(Page("Boxes", "Four corners against those of the true box: by steps of a gradient, or in a detector."),),
    ),
)  # fmt: skip
