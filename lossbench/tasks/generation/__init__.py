"""New samples like those of the data: against a critic (`gan`), or step by step from noise (`denoising`)."""

from typing import Any

from lossbench.tasks.task import Metric, Page, Task, metrics

FRECHET = metrics(
    "lower", frechet="Fréchet distance of images to the held-out ones, in features of a classifier of the same data"
)
_OF_SAMPLES = (
    *metrics("lower", sliced_wasserstein="sliced 2-Wasserstein distance to the held-out samples, over 128 directions"),
    *FRECHET,
    *metrics(
        "higher",
        modes_covered="number of modes that get at least a tenth of their even share, counting good samples only",
        good_samples="share of the samples within 3 standard deviations of the nearest mode",
    ),
    *metrics(
        "lower",
        mmd="maximum mean discrepancy to the held-out samples, Gaussian kernel",
        mode_kl="KL divergence from the good samples' share of each mode to equal shares",
    ),
    Metric("diversity", "neither", "mean distance of a sample to its nearest neighbour, over that of the data"),
    *metrics("lower", collapsed="1 where samples lie on few modes, or much closer to each other than the data; else 0"),
)  # fmt: skip
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
)
