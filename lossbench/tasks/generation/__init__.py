"""New samples like those of the data, by whatever way a network learns to draw them.

Against a critic (`gan`), step by step from noise (`denoising`), by a function that can be inverted (`flow`),
by a density that is known but for a constant (`energy`).
"""

from math import inf
from typing import Any

from lossbench.tasks.task import ERROR, SHARE, Metric, Page, Task, metrics

OF_IMAGES = (
    *metrics(
        "lower",
        bounds=ERROR,
        frechet="Fréchet distance of images to the held-out ones, in features of a classifier of the same data",
    ),
    *metrics(
        "lower",
        kernel_distance="squared maximum mean discrepancy in these features, cubic kernel, without bias (KID)",
    ),
    *metrics(
        "higher",
        bounds=(1.0, inf),
        inception_score="how sure the same classifier is of each image, and how many classes it sees",
    ),
)
_OF_SAMPLES = (
    *metrics(
        "lower", bounds=ERROR,
        sliced_wasserstein="sliced 2-Wasserstein distance to the held-out samples, over 128 directions",
    ),
    *OF_IMAGES,
    *metrics(
        "higher", bounds=ERROR,
        modes_covered="number of modes that get at least a tenth of their even share, counting good samples only",
    ),
    *metrics(
        "higher", bounds=SHARE,
        good_samples="share of the samples within 3 standard deviations of the nearest mode",
    ),
    *metrics(
        "lower", bounds=ERROR,
        mmd="maximum mean discrepancy to the held-out samples, Gaussian kernel",
        mode_kl="KL divergence from the good samples' share of each mode to equal shares",
    ),
    Metric(
        "diversity", "neither", "mean distance of a sample to its nearest neighbour, over that of the data",
        bounds=ERROR,
    ),
    *metrics(
        "lower", bounds=SHARE,
        collapsed="1 where samples lie on few modes, or much closer to each other than the data; else 0",
    ),
)  # fmt: skip
_OF_DENSITY = (
    *metrics("higher", log_likelihood="log-likelihood of a held-out sample, in nats; of an image a lower bound"),
    *metrics("lower", bits_per_dimension="-log-likelihood over log 2 and the numbers of a sample"),
)
PAGE = Page("Generation", "New data like those seen are to be drawn.")
_SHARED: dict[str, Any] = {
    "package": __name__,
    "target": "sample",
    "stacked": False,
    "pages": (PAGE,),
}
_COLUMNS = (
    "sliced_wasserstein", "frechet", "modes_covered", "good_samples", "mmd", "mode_kl", "diversity", "collapsed",
)  # fmt: skip

TASKS = (
    Task(
        name="gan",
        shapes="N ... , N ... -> N",
        title="generation against a critic",
        learner="gan",
        data=("points", "images"),
        baseline="non_saturating",
        metrics=_OF_SAMPLES,
        columns=_COLUMNS,
        monitor="sliced_wasserstein",
        context=("epoch", "gradient_norm", "index", "inputs", "player", "real_gradient_norm"),
        **_SHARED,
    ),
    Task(
        name="denoising",
        shapes="N ... , N ... -> N",
        title="generation step by step from noise",
        learner="denoising",
        data=("points", "images"),
        baseline="denoise_mse",
        link="predicted_noise",
        metrics=_OF_SAMPLES,
        columns=_COLUMNS,
        monitor="sliced_wasserstein",
        context=("epoch", "index", "inputs", "signal_to_noise"),
        **_SHARED,
    ),
    Task(
        name="flow",
        title="generation by a function that can be inverted",
        learner="flow",
        data=("points", "images"),
        baseline="flow_nll",
        metrics=(*_OF_DENSITY, *_OF_SAMPLES),
        columns=("log_likelihood", "bits_per_dimension", *_COLUMNS),
        monitor="log_likelihood",
        context=("epoch", "index", "inputs"),
        **_SHARED,
    ),
    Task(
        name="energy",
        title="generation by an energy",
        learner="energy",
        data=("points", "images"),
        baseline="contrastive_divergence",
        metrics=(*_OF_DENSITY, *_OF_SAMPLES),
        columns=("sliced_wasserstein", "log_likelihood", "bits_per_dimension", *_COLUMNS[1:]),
        monitor="sliced_wasserstein",
        context=("drawn_log_noise", "epoch", "index", "inputs", "log_noise"),
        **_SHARED,
    ),
)
