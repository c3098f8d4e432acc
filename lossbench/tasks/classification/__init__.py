"""One class to a sample: of two (`binary`, one logit or two) or of several (`multiclass`)."""

from typing import Any

from lossbench.tasks.task import CORRELATION, ERROR, SHARE, Metric, Page, Task, metrics

_CLASSES, _EACH = "Predicted classes", "Each class against the rest"
_ORDER, _CONFIDENCE = "Order of the probabilities", "Probabilities and confidence"
_SHARES_UP = {
    "precision": "share of the samples predicted as the class that are of it",
    "f2": "F-beta with beta 2: recall weighs twice as much as precision",
    "f0.5": "F-beta with beta 0.5: precision weighs twice as much as recall",
    "specificity": 'recall of "not this class": share of the samples of other classes that are not predicted as it',
    "npv": 'negative predictive value: the precision of "not this class"',
}
_SHARES_DOWN = {
    "fpr": "one minus specificity",
    "fdr": "one minus precision",
    "fnr": "one minus recall",
}

_COMMON = (
    *metrics("higher", _CLASSES, bounds=SHARE, accuracy="share of right predictions"),
    *metrics("higher", _CLASSES, bounds=SHARE, balanced_accuracy="mean over the classes of the recall"),
    *metrics(
        "higher", _CLASSES, "end", bounds=SHARE,
        worst_class_recall="smallest recall of a class",
        g_mean="geometric mean over the classes of the recall",
    ),
    *metrics(
        "higher", _CLASSES, "end", bounds=CORRELATION,
        mcc="Matthews correlation coefficient; 0 for a constant prediction",
        cohen_kappa="Cohen's kappa, agreement with the truth beyond chance; 0 for a constant prediction",
    ),
    *metrics(
        "higher", _CLASSES, bounds=SHARE,
        accuracy_many="mean recall over the classes with more than 100 training samples",
        accuracy_medium="mean recall over the classes with 20 to 100 training samples",
        accuracy_few="mean recall over the classes with fewer than 20 training samples",
    ),
    *metrics("higher", _EACH, bounds=SHARE, macro_f1="mean over the classes of F1"),
    Metric(
        "recall", "higher", "recall of class K, which is its accuracy", "Recall of each class", "epoch", "class",
        bounds=SHARE,
    ),
    Metric("precision", "higher", "precision of class K", "Precision of each class", "end", "class", bounds=SHARE),
    Metric("f1", "higher", "F1 of class K", "F1 of each class", "end", "class", bounds=SHARE),
    *metrics(
        "higher", _ORDER, bounds=SHARE,
        auroc="mean over the classes of the AUROC of each against the rest; it flatters under imbalance: look at "
        "`average_precision`",
    ),
    *metrics("higher", _ORDER, "end", bounds=SHARE, micro_auroc="AUROC over all pairs of a sample and a class"),
    *metrics(
        "higher", _ORDER, bounds=SHARE,
        average_precision="mean over the classes of the average precision of each against the rest",
    ),
    *metrics(
        "higher", _ORDER, "end", bounds=SHARE,
        micro_average_precision="average precision over all pairs of a sample and a class",
    ),
    *metrics(
        "lower", _CONFIDENCE, bounds=ERROR,
        nll="mean of -log of the probability of the true class",
    ),
    *metrics(
        "lower", _CONFIDENCE, bounds=(0.0, 2.0),
        brier="mean of the squared distance of the probabilities to the one-hot truth, summed over the classes",
    ),
    *metrics("lower", _CONFIDENCE, bounds=SHARE, ece="expected calibration error, 15 equal right-closed bins"),
    *metrics(
        "lower", _CONFIDENCE, "end", bounds=SHARE,
        mce="largest gap between confidence and accuracy in a bin of `ece`",
        adaptive_ece="as `ece`, with 15 bins of equally many samples (Nixon et al. 2019)",
        classwise_ece="mean over the classes of the calibration error of the probability of that class",
        aurc="area under the error rate among the most confident samples, over their share (Geifman and El-Yaniv 2017)",
    ),
    Metric(
        "temperature", "neither", "temperature that `posthoc=temperature` has fitted", _CONFIDENCE, part="val",
        bounds=ERROR,
    ),
    Metric(
        "clean_accuracy", "higher", "share of the training samples whose true label is predicted", part="train",
        bounds=SHARE,
    ),
    Metric("memorised", "lower", "share of the flipped training labels that are predicted", part="train", bounds=SHARE),
    Metric(
        "label_precision", "higher",
        "of the training samples whose observed label is predicted, the share whose label is right", part="train",
        bounds=SHARE,
    ),
    Metric(
        "label_recall", "higher",
        "of the training samples whose label is right, the share whose label is predicted", part="train",
        bounds=SHARE,
    ),
)  # fmt: skip
_OF_CLASS_1 = (
    *(Metric(name, "higher", f"{told}; of class 1", _EACH, "end", bounds=SHARE) for name, told in _SHARES_UP.items()),
    *metrics("higher", _EACH, "end", bounds=SHARE, recall="recall of class 1", f1="F1 of class 1"),
    *(Metric(name, "lower", f"{told}; of class 1", _EACH, "end", bounds=SHARE) for name, told in _SHARES_DOWN.items()),
    *metrics("higher", _ORDER, "end", bounds=SHARE, auprc="average precision of class 1"),
)
_OF_ALL_CLASSES = (
    *metrics(
        "higher", _CLASSES, "end", bounds=SHARE,
        top5_accuracy="share of samples with the truth among the five likeliest of more than five classes; ties by lot",
    ),
    *(
        Metric(f"macro_{name}", "higher", f"{told}; mean over the classes", _EACH, "end", bounds=SHARE)
        for name, told in _SHARES_UP.items()
    ),
    *(
        Metric(f"macro_{name}", "lower", f"{told}; mean over the classes", _EACH, "end", bounds=SHARE)
        for name, told in _SHARES_DOWN.items()
    ),
    *metrics(
        "higher", _ORDER, "end", bounds=SHARE,
        ovo_auroc="AUROC of each class against each other, mean over the pairs (Hand and Till 2001); the same as "
        "`auroc` where all classes are equally frequent",
    ),
)  # fmt: skip
_SHARED: dict[str, Any] = {
    "package": __name__,
    "target": "class",
    "columns": ("balanced_accuracy", "accuracy", "macro_f1", "auroc", "nll", "brier", "ece"),
    "viewed": ("balanced_accuracy", "accuracy", "nll", "ece"),
    "monitor": "balanced_accuracy",
    "context": ("epoch", "features", "index", "inputs", "teacher_logits"),
    "axes": frozenset({"weighting", "sampler", "mixup", "posthoc", "calibrate", "cosine", "noise", "imbalance"}),
    "weighed_by": "class_counts",
    "curves": "margin",
    "same_as": {
        **dict.fromkeys(("micro_f1", "micro_precision", "micro_recall"), "accuracy"),
        "macro_recall": "balanced_accuracy",
    },
}

TASKS = (
    Task(
        name="multiclass",
        shapes="... K , ... -> ...",
        title="classification",
        baseline="cross_entropy",
        link="softmax",
        metrics=(*_COMMON, *_OF_ALL_CLASSES),
        pages=(
            Page("Classification", "One of several classes, none of them rare, with labels that are right.", ""),
            Page("Calibration", "The probabilities must be right, and not only the class.", "calibration"),
            Page("Class imbalance", "Rare classes matter as much as common ones.", "imbalance"),
            Page("Label noise", "Some of the training labels are wrong.", "noise"),
        ),
        **_SHARED,
    ),
    Task(
        name="binary",
        shapes="... , ... -> ...",
        title="classification of two classes",
        baseline="bce",
        link="sigmoid",
        served_by=("multiclass", "binary"),
        classes=2,
        metrics=(*_COMMON, *_OF_CLASS_1),
        pages=(Page("Two classes", "One logit per sample; losses with one output per class also serve two."),),
        **_SHARED,
    ),
)
