"""A class for each pixel."""

from lossbench.tasks.task import ERROR, SHARE, Metric, Page, Task, metrics

_OVERLAP, _SHAPES, _SURE = "Overlap", "Boundaries and objects", "Probabilities and confidence"

TASKS = (
    Task(
        name="segmentation",
        title="segmentation",
        package=__name__,
        target="mask",
        baseline="pixel_cross_entropy",
        link="softmax",
        metrics=(
            *metrics(
                "higher", _OVERLAP, bounds=SHARE,
                miou_pooled="mean over the foreground classes of the IoU, hit / (predicted + true - hit), of the pixels"
                " of all images",
                dice_pooled="the same of Dice, 2 hit / (predicted + true)",
                miou_image="mean over images of the mean IoU of the foreground classes that are there or predicted",
                dice_image="the same of Dice",
                pixel_accuracy="share of right pixels, background included",
            ),
            Metric(
                "iou", "higher", "IoU of class K, of the pixels of all images", "IoU of each class", "epoch", "class",
                bounds=SHARE,
            ),
            Metric(
                "area_ratio", "neither", "pixels predicted as foreground over those that are", _OVERLAP, bounds=ERROR
            ),
            Metric("soft_area", "neither", "mean probability of the foreground", _SURE, bounds=SHARE),
            *metrics(
                "lower", _SURE, bounds=ERROR,
                nll="mean over pixels of -log of the probability of the true class",
            ),
            *metrics(
                "lower", _SURE, bounds=SHARE,
                ece="expected calibration error of the predicted class of pixels, 15 equal right-closed bins",
            ),
            *metrics(
                "lower", _SURE, "end", bounds=(0.0, 2.0),
                brier="mean over pixels of the squared distance to the one-hot truth",
            ),
            *metrics(
                "higher", _SURE, "end", bounds=SHARE,
                ap="mean over the foreground classes of the average precision of pixels",
            ),
            *metrics(
                "higher", _SHAPES, "end", bounds=SHARE,
                boundary_f1="F1 of boundary pixels, right within 2 pixels, mean over images and classes",
                pq="panoptic quality of objects: sq times rq, mean over classes",
                sq="segmentation quality: mean IoU of objects that are found, IoU above one half",
                rq="recognition quality: F1 of finding objects",
            ),
            *metrics(
                "lower", _SHAPES, "end", bounds=ERROR,
                hausdorff_95="pixels within which 95 % of the boundary is, the worse of both ways, where both have one",
                surface_distance="mean distance in pixels of the boundaries, both ways, where both have one",
            ),
            *metrics(
                "lower", _SHAPES, "end", bounds=SHARE,
                missed="share of pairs of an image and a class that only truth or prediction has",
            ),
        ),
        columns=("miou_pooled", "dice_image", "pixel_accuracy", "area_ratio", "nll", "ece"),
        monitor="miou_pooled",
        context=("epoch", "features", "index", "inputs"),
        keeps=("image", "instances"),
        axes=frozenset({"boundary", "calibrate", "less_foreground", "missing", "rare"}),
        stacked=False,
        pages=(Page("Segmentation", "A class for each pixel; K logits at each, the background being class 0."),),
    ),
)  # fmt: skip
