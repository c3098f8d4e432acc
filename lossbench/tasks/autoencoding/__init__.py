"""New images like those of the data, by an autoencoder (`vae`)."""

from lossbench.tasks.generation import OF_IMAGES, PAGE
from lossbench.tasks.task import CORRELATION, ERROR, Metric, Task, metrics

TASKS = (
    Task(
        name="vae",
        shapes="N ... , N ... -> N",
        title="generation by an autoencoder",
        learner="vae",
        data=("images",),
        baseline="vae_bernoulli",
        metrics=(
            *metrics(
                "lower",
                bounds=ERROR,
                neg_elbo="negative evidence lower bound of a held-out image, in nats, pixels being Bernoulli variables",
                reconstruction="its part that is the reconstruction, in nats",
            ),
            Metric(
                "kl",
                "neither",
                "its part that is the divergence of the code; at 0 the code tells nothing",
                bounds=ERROR,
            ),
            Metric(
                "active_units",
                "neither",
                "number of latents whose mean has a variance above 0.01 over the data",
                bounds=ERROR,
            ),
            *metrics("lower", bounds=ERROR, mse="mean squared error of a pixel"),
            *metrics(
                "higher",
                psnr="peak signal-to-noise ratio of an image, -10 log10(mse), in dB",
            ),
            *metrics(
                "higher",
                bounds=CORRELATION,
                ssim="structural similarity of an image and its reconstruction, Gaussian windows of 11x11",
            ),
            *OF_IMAGES,
        ),
        columns=("neg_elbo", "reconstruction", "kl", "active_units", "mse", "psnr", "ssim", "frechet"),
        monitor="neg_elbo",
        context=("epoch", "feature_maps", "index", "inputs", "log_variance", "mean"),
        package=__name__,
        target="sample",
        stacked=False,
        pages=(PAGE,),
    ),
)
