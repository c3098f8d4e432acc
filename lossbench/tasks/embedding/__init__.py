"""A vector for each image, near to those of its class and far from the others, also of classes never trained on."""

from lossbench.tasks.task import SHARE, Page, Task, metrics

_NEIGHBOURS = "Nearest neighbours"

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
            ),
        ),
        columns=("recall_at_1",),
        monitor="recall_at_1",
        context=("epoch", "features", "index", "inputs", "momentum_embeddings"),
        axes=frozenset({"disjoint", "sampler", "views", "weighting"}),
        weighed_by="class_counts",
        pages=(Page("Embeddings", "A vector for each sample, compared by cosines."),),
    ),
)  # fmt: skip
