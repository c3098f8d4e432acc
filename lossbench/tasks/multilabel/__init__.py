"""Several labels to a sample, each there or not."""

from lossbench.tasks.task import ERROR, SHARE, Metric, Page, Task, metrics

_DECISIONS, _EACH = "Predicted labels", "Each label against the rest"

TASKS = (
    Task(
        name="multilabel",
        shapes="... K , ... K -> ...",
        title="classification with several labels",
        package=__name__,
        target="labels",
        baseline="multilabel_bce",
        link="sigmoids",
        metrics=(
            *metrics(
                "higher", _DECISIONS, bounds=SHARE,
                hamming_accuracy="share of right decisions, a label being predicted above one half",
                subset_accuracy="share of the samples with all decisions right",
            ),
            *metrics(
                "higher", _EACH, bounds=SHARE,
                macro_precision="mean over the labels of the precision",
                macro_recall="mean over the labels of the recall",
                macro_f1="mean over the labels of F1",
                micro_precision="precision over all pairs of a sample and a label",
                micro_recall="recall over all pairs of a sample and a label",
                micro_f1="F1 over all pairs of a sample and a label",
            ),
            Metric("f1", "higher", "F1 of label K", "F1 of each label", per="label", bounds=SHARE),
            *metrics(
                "higher", "Order of the probabilities", bounds=SHARE,
                auroc="mean over the labels of the AUROC", map="mean over the labels of the average precision",
            ),
            *metrics(
                "lower", "Order of the probabilities", bounds=SHARE,
                ranking_loss="mean over samples of the share of pairs, label and non-label, in the wrong order",
            ),
            *metrics(
                "lower", "Order of the probabilities", bounds=ERROR,
                coverage_error="mean over samples of how far down the ranking the last of its labels is found",
            ),
            Metric(
                "ap", "higher", "average precision of label K", "Average precision of each label", "epoch", "label",
                bounds=SHARE,
            ),
            *metrics(
                "lower", "Probabilities and confidence", bounds=ERROR,
                nll="mean over samples and labels of -log of the probability of what is true",
            ),
            *metrics(
                "lower", "Probabilities and confidence", bounds=SHARE,
                brier="mean over samples and labels of the squared distance of the probability to the truth",
                ece="expected calibration error of all label probabilities, 15 equal right-closed bins",
            ),
        ),
        columns=("map", "macro_f1", "micro_f1", "hamming_accuracy", "subset_accuracy", "nll", "ece"),
        monitor="map",
        context=("epoch", "features", "index", "inputs"),
        axes=frozenset({"calibrate"}),
        advice={"weighting": ", or a loss that weighs the labels, such as multilabel_weighted_bce."},
        pages=(Page("Several labels", "A sample may have any number of labels; one logit for each."),),
    ),
)  # fmt: skip
