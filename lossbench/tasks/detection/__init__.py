"""Objects in images: a box and a class for each."""

from lossbench.tasks.task import SHARE, Metric, Page, Task, metrics

_PRECISION, _RECALL, _SIZES = "Average precision", "Average recall", "Average precision by size"

TASKS = (
    Task(
        name="detection",
        title="detection of objects",
        package=__name__,
        target="boxes",
        served_by=("boxes", "detection"),
        learner="detector",
        baseline="dense_focal",
        link="sigmoids",
        metrics=(
            *metrics(
                "higher", _PRECISION, bounds=SHARE,
                ap="average precision as COCO's: mean over the classes and over .5, .55 ... .95, the IoU from which a"
                " box counts as right, of the interpolated precision at 101 recalls",
                ap50="the same at IoU .5 alone",
                ap75="the same at IoU .75 alone",
            ),
            *metrics(
                "higher", _PRECISION, "end", bounds=SHARE,
                voc11="average precision of PASCAL VOC 2007: at IoU .5, the mean over the classes of the interpolated"
                " precision at the 11 recalls 0, .1 ... 1",
            ),
            *metrics(
                "higher", _SIZES, "end", bounds=SHARE,
                ap_small="`ap` of objects of less than 8x8 pixels: COCO's 32x32, as all lengths are taken times 4",
                ap_medium="`ap` of objects of 8x8 to 24x24 pixels",
                ap_large="`ap` of objects of more than 24x24 pixels",
            ),
            *metrics(
                "higher", _RECALL, "end", bounds=SHARE,
                ar_1="share of the objects that are found, mean over the bounds of IoU and the classes, with the best"
                " detection of each class in an image alone",
                ar_10="the same with the 10 best",
                ar_100="the same with the 100 best",
            ),
            Metric("class_ap", "higher", "`ap` of class K", "Average precision by class", "end", "class", bounds=SHARE),
        ),
        columns=("ap", "ap50", "ap75", "ar_100", "voc11"),
        monitor="ap",
        context=("epoch", "quality"),
        keeps=("image",),
        stacked=False,
        pages=(
            Page(
                "Detection",
                "The classes at the places of a detector, most of them background; boxes have a page of their own.",
            ),
        ),
    ),
)  # fmt: skip
