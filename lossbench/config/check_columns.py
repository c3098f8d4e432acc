"""The metrics that the tables of a comparison shall show."""

from omegaconf import OmegaConf

from lossbench.config.cell import Cell
from lossbench.errors import ConfigError, nearest


def check_columns(cell: Cell) -> None:
    """Check that each metric of `compare.columns` is one of the task; it need not have a better way.

    Raises
    ------
    ConfigError
        With the metric, and what is allowed.

    """
    task = cell.task
    names = [name for name in task.named if not name.endswith("/") and not task.is_of_reference(name)]
    for metric in map(str, OmegaConf.select(cell.config, "compare.columns") or ()):
        if metric in task.same_as:
            same = task.same_as[metric]
            raise ConfigError(f"compare.columns={metric} is the {same} where each sample has one class. Use that name.")
        if metric not in names and not task.is_numbered(metric):
            raise ConfigError(f"compare.columns={metric} is not known. {nearest(metric, names)}")
