"""The data on which the losses of each task are tried."""

from lossbench.data.shapes import data_for
from lossbench.locate import CONF
from lossbench.tasks import own_tasks


def _first_of(names: list[str]) -> str:
    """Return the first that needs no files of the user."""
    return next(name for name in names if "???" not in (CONF / "data" / f"{name}.yaml").read_text(encoding="utf-8"))


DATA = {name: _first_of(data_for(task)) for name, task in own_tasks().items()} | {
    "multiclass": "digits_imb",
    "distributional": "heteroscedastic",
    "embedding": "digits",
    "regression": "outliers",
    "vae": "digits",
    "gan": "digits",
    "denoising": "digits",
    "energy": "digits",
    "flow": "digits",
}
"""The first that serve a task, but where a difficulty is wanted, or small images."""
