"""A vector for each image, near to those of its class and far from the others, also of classes never trained on."""

from math import inf

from lossbench.tasks.task import SHARE, Metric, Page, Task, metrics

_NEIGHBOURS, _PAIRS, _SPREAD = "Nearest neighbours", "Same or different class", "How the embeddings are spread"

TASKS = (
    Task(
        name="embedding",
        title="embeddings",
        package=__name__,
        target="class",
        baseline="embedding_softmax",
        link="on_unit_sphere",
        learner="embedding",
        data=("embedding", "multiclass", "binary"),
        metrics=(
            *metrics(
                "higher", _NEIGHBOURS, bounds=SHARE,
                recall_at_1="share of the samples whose nearest neighbour has their class",
                recall_at_5="share that has one of its class among the 5 nearest",
                recall_at_10="share that has one of its class among the 10 nearest",
                map_at_r="mean average precision of the R nearest, R being how many others have the class of a sample",
                r_precision="share of its class among the R nearest",
            ),
            *metrics(
                "higher", _NEIGHBOURS, "end", bounds=SHARE,
                nmi="normalised mutual information of the classes and the clusters of k-means, as many as classes",
            ),
            *metrics(
                "higher", _PAIRS, "end", bounds=SHARE,
                verification_auc="area under the ROC curve of all pairs, same class against different, by cosine",
                tar_at_far_01="share of the pairs of one class that are accepted where 1 % of the others are",
                tar_at_far_001="the same where 0.1 % of the others are",
            ),
            *metrics(
                "lower", _PAIRS, "end", bounds=SHARE,
                eer="equal error rate: where as many pairs of one class are refused as others are accepted",
            ),
            *metrics(
                "lower", _SPREAD, "end", bounds=(0.0, 4.0),
                alignment="mean squared distance of pairs of one class; 0 also where all embeddings are equal",
            ),
            *metrics(
                "lower", _SPREAD, "end", bounds=(-8.0, 0.0),
                uniformity="log of the mean of exp(-2 squared distance) over all pairs; 0 where all are equal",
            ),
            Metric(
                "effective_rank", "neither",
                "exp of the entropy of the normalised singular values: in how many directions the embeddings spread;"
                " near 1 they have collapsed",
                _SPREAD, "end", bounds=(1.0, inf),
            ),
        ),
        columns=("recall_at_1", "map_at_r", "r_precision", "nmi", "verification_auc", "eer", "effective_rank"),
        monitor="map_at_r",
        context=("epoch", "features", "index", "inputs", "momentum_embeddings"),
        axes=frozenset({"disjoint", "sampler", "views", "weighting"}),
        weighed_by="class_counts",
        pages=(Page("Embeddings", "A vector for each sample; those of one class are near to each other, by cosine."),),
    ),
)  # fmt: skip
