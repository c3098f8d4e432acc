"""What the options of Lightning's trainer, its callbacks and a schedule must be, so that every number is what it says.

Nothing here imports torch, unless the user brings a callback of their own.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lossbench.config.cell import Cell
from lossbench.config.source import said_by
from lossbench.errors import ConfigError, nearest
from lossbench.locate import locate

WHOLE = "the test set is evaluated whole, whatever is trained on"
REFUSED: dict[str, tuple[tuple[Any, ...], str]] = {
    "limit_val_batches": ((None, 1.0), f"{WHOLE}. A smaller one is data.max_test=N"),
    "limit_test_batches": ((None, 1.0), f"{WHOLE}. A smaller one is data.max_test=N"),
    "limit_predict_batches": ((None, 1.0), f"{WHOLE}. A smaller one is data.max_test=N"),
    "overfit_batches": ((0, 0.0), f"{WHOLE}. To train on few samples: data.max_train=N, trainer.limit_train_batches=N"),
    "fast_dev_run": ((False, None), f"{WHOLE}. A quick look is trainer.max_epochs=1 data.max_train=200"),
    "val_check_interval": ((None, 1.0), "an evaluation belongs to an epoch: trainer.check_val_every_n_epoch=N"),
    "barebones": ((False, None), "a run is evaluated and recorded. Leave it out"),
    "num_sanity_val_steps": ((0,), "no metric is computed before training. Leave it out"),
    "logger": (
        (False, None),
        "choose one by tracking=mlflow|csv|tensorboard|wandb|none, tracking.uri=... Leave it out",
    ),
    "enable_progress_bar": ((False,), "progress is shown for the sweep as a whole. Leave it out"),
    "enable_model_summary": ((False,), "the record has the number of parameters. Leave it out"),
    "enable_checkpointing": ((True, None), "a run keeps its last and its best epoch. Leave it out"),
    "default_root_dir": ((None,), "a run writes under output_dir=DIR"),
    "num_nodes": ((1,), "one run trains on one device. Several runs at once: engine=packed with -m"),
    "strategy": (("auto",), "one run trains on one device. Several runs at once: engine=packed with -m"),
}
"""Options that may only have these values, as others change what is measured or have no effect; and what is meant."""
PER_STEP = ("torch.optim.lr_scheduler.OneCycleLR", "torch.optim.lr_scheduler.CyclicLR")
PLATEAU = "torch.optim.lr_scheduler.ReduceLROnPlateau"
STEPPING = ("interval", "frequency", "monitor")
"""The keys of a schedule that say, as in Lightning, when it is stepped: its class does not get them."""


def check_trainer(cell: Cell) -> None:
    """Check that the trainer leaves the evaluation whole, and that callbacks and schedule wait for what there is.

    Raises
    ------
    ConfigError
        If not.

    """
    trainer = cell.config.trainer
    for name, (allowed, meant) in REFUSED.items():
        value = trainer.get(name, allowed[0])
        if not any(value == each and type(value) is type(each) for each in allowed):
            shown = ", ".join("null" if each is None else str(each).lower() for each in allowed)
            raise ConfigError(f"trainer.{name}={value}: allowed is {shown}, since {meant}.")
    _check_devices(trainer.get("devices", 1))
    for callback in callbacks_of(trainer):
        _check_callback(cell, callback)
    _check_schedule(cell)


def _check_devices(devices: Any) -> None:
    several = (
        len(devices) > 1
        if OmegaConf.is_list(devices)
        else str(devices) not in ("1", "auto")
        and ("," in str(devices) or not str(devices).isdigit() or int(devices) != 1)
    )
    if several:
        raise ConfigError(
            f"trainer.devices={devices}: allowed is 1, or a list of one, such as [0]: one run trains on one device. "
            "Several runs at once: engine=packed with -m."
        )


def callbacks_of(trainer: DictConfig) -> list[DictConfig]:
    """Return the nodes of the user's callbacks, given as a list, or as a mapping where null leaves one out.

    Raises
    ------
    ConfigError
        If one does not say what it is.

    """
    given = trainer.get("callbacks") or []
    nodes = list(given.values()) if isinstance(given, DictConfig) else list(given)
    for node in nodes:
        if node is not None and not (OmegaConf.is_dict(node) and "_target_" in node):
            raise ConfigError(
                f"trainer.callbacks: {node} is no callback. Each needs its class: "
                "trainer.callbacks=[{_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/nll}]"
            )
    return [node for node in nodes if node is not None]


def _check_callback(cell: Cell, node: DictConfig) -> None:
    monitor, target = node.get("monitor"), str(node["_target_"])
    if not target.startswith("pytorch_lightning."):
        _check_own_callback(node, target)
    elif monitor is not None:
        _check_monitor(cell, f"trainer.callbacks: {target.rpartition('.')[2]}: monitor", str(monitor))


def _check_own_callback(node: DictConfig, target: str) -> None:
    """Check that a class of the user is a callback and takes its options."""
    try:
        found = locate(target)
    except ConfigError:  # a method of a class: the run sees what it returns
        return
    if not isinstance(found, type):
        return
    from pytorch_lightning import Callback

    if not issubclass(found, Callback):
        raise no_callback(target)
    given = {str(name): value for name, value in node.items() if not str(name).startswith("_")}
    signature = inspect.signature(found)
    try:
        signature.bind(*node.get("_args_", ()), **given)
    except TypeError as error:
        raise ConfigError(f"trainer.callbacks: {target}: {error}. Its signature is {signature}.") from error


def no_callback(target: str) -> ConfigError:
    """Return what is said of a class or function that makes no callback."""
    return ConfigError(
        f"trainer.callbacks: {target} is no callback of pytorch_lightning. "
        "(The package `lightning` has classes of the same names that do not mix with it.)"
    )


def _check_monitor(cell: Cell, key: str, name: str) -> None:
    """Check that a metric is one that a run logs after each epoch."""
    known = ["train/loss", *(f"{part}/{metric}" for part in ("test", "val") for metric in cell.task.names("epoch"))]
    if name not in known and not name.startswith(("train/", "val/clean/")):
        raise ConfigError(f"{key}={name} is not logged by a run. {nearest(name, known)}")


def stepping(node: Mapping[Any, Any]) -> dict[str, Any]:
    """Return when a schedule is stepped, by Lightning's names; torch's own that count steps are stepped after each.

    Examples
    --------
    >>> stepping({"_target_": "torch.optim.lr_scheduler.OneCycleLR"})
    {'interval': 'step', 'frequency': 1}

    """
    usual = "step" if node["_target_"] in PER_STEP else "epoch"
    found = {name: node.get(name) for name in STEPPING if node.get(name) is not None}
    return {"interval": usual, "frequency": 1, **found}


def _check_schedule(cell: Cell) -> None:
    node = cell.config.scheduler
    given = stepping(node)
    if given["interval"] not in ("epoch", "step"):
        raise ConfigError(
            f"scheduler.interval={given['interval']} is not known. {nearest(str(given['interval']), ['epoch', 'step'])}"
        )
    learner = cell.choices["learner"]
    itself = said_by(str(cell.config.learner["_target_"]), "automatic_optimization", True) is False
    if itself and given != {"interval": "epoch", "frequency": 1}:
        raise ConfigError(
            f"scheduler={cell.choices['scheduler']}: those of learner={learner} are stepped after each epoch."
        )
    if node["_target_"] != PLATEAU:
        return
    monitor = given.get("monitor")
    if monitor is None:
        raise ConfigError(
            f"scheduler._target_={PLATEAU} waits for a metric: +scheduler.monitor=val/{cell.monitor}, or train/loss."
        )
    _check_monitor(cell, "scheduler.monitor", str(monitor))
    better = "lower" if monitor == "train/loss" else cell.task.direction(str(monitor))
    wanted = {"higher": "max", "lower": "min"}.get(better)
    mode = node.get("mode", "min")
    if wanted is not None and mode != wanted:
        raise ConfigError(f"scheduler.mode={mode}, but {better} values of {monitor} are better. Use {wanted}.")
