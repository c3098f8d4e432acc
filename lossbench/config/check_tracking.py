"""What the logger of a config needs; looked at before anything is written."""

import os
from importlib.util import find_spec
from typing import Any

from lossbench.errors import ConfigError, first_line

OFFLINE = ("offline", "dryrun", "disabled")
"""The values of WANDB_MODE with which nothing is sent."""
NEEDED = {"tensorboard": "tensorboard", "wandb": "wandb"}
"""The package of each logger that needs one."""


def check_tracking(tracking: Any) -> None:
    """Check that the package is installed that the logger of a config writes with, and that it may.

    Parameters
    ----------
    tracking : mapping
        The node `tracking` of a config.

    Raises
    ------
    ConfigError
        If it is not, with how to install it; where W&B would ask for a key in the middle of a sweep.

    """
    kind = tracking.get("logger")
    package = NEEDED.get(kind)
    if package is not None and not _is_installed(package):
        raise ConfigError(
            f"tracking={kind} needs a package that is not installed: pip install {package}. Without it there are "
            "tracking=csv, mlflow and none."
        )
    if kind == "wandb" and os.environ.get("WANDB_MODE") not in OFFLINE:
        _require_login()


def _require_login() -> None:
    import wandb

    try:
        said = "" if wandb.login(prompt=False) else "nobody is logged in at Weights & Biases here"
    except wandb.errors.Error as error:
        said = first_line(error)
    if said:
        raise ConfigError(
            f"tracking=wandb: {said}. Log in (wandb login, or WANDB_API_KEY=...), or keep the runs on this machine: "
            "WANDB_MODE=offline."
        )


def _is_installed(package: str) -> bool:
    found = find_spec(package)
    return found is not None and found.origin is not None  # a folder wandb/ of runs is no package
