"""The data on which the losses of each task are tried."""

from lossbench.data.shapes import data_for
from lossbench.tasks import own_tasks

DATA = {name: data_for(task)[0] for name, task in own_tasks().items()} | {
    "multiclass": "digits_imb",
    "distributional": "heteroscedastic",
    "regression": "outliers",
    "vae": "digits",
    "gan": "digits",
    "denoising": "digits",
    "energy": "digits",
    "flow": "digits",
}
"""The first that serve a task, but where a difficulty is wanted, or small images."""
