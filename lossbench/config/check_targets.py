"""What the user brings in place of our own parts, and inside them: each `_target_` must be there, however deep."""

import ast
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from lossbench.config.axes import AXES
from lossbench.config.cell import Cell
from lossbench.config.values import OF_OTHERS
from lossbench.errors import ConfigError, nearest
from lossbench.locate import locate, targets_in

GROUPS = ("data", "learner", "model", "optimizer", "scheduler", "trainer", *AXES)
OF_LIGHTNING = "pytorch_lightning.callbacks"


def check_targets(cell: Cell) -> None:
    """Import what the user brings, such as a callback; what is lossbench's, torch's or Lightning's is known unimported.

    Raises
    ------
    ConfigError
        If it can't be imported.

    """
    for group in GROUPS:
        for target in sorted(targets_in(cell.resolved[group])):
            if not target.startswith("lossbench.") and target not in OF_OTHERS:
                _require(target)


def _require(target: str) -> None:
    owner, _, name = target.rpartition(".")
    if owner == OF_LIGHTNING:
        if name not in lightning_callbacks():
            raise ConfigError(f"_target_={target}: {owner} has no {name!r}. {nearest(name, lightning_callbacks())}")
        return
    try:
        locate(target)
    except ConfigError:
        with suppress(ConfigError):
            if hasattr(locate(owner), name):  # a method of a class, which Hydra takes, too
                return
        raise


@cache
def lightning_callbacks() -> list[str]:
    """Return the names of Lightning's callbacks, read from its source: importing it takes seconds."""
    found = find_spec("pytorch_lightning")
    assert found is not None and found.origin is not None
    tree = ast.parse((Path(found.origin).parent / "callbacks" / "__init__.py").read_text(encoding="utf-8"))
    listed = (node for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
    return [str(name) for node in listed for name in ast.literal_eval(node.value)]
