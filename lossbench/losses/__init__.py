"""The losses: pure, per-sample functions by family. `lossbench.load_loss` loads one by its name.

Every loss here is also a YAML file in `conf/loss`, which holds its default parameters. Names are imported on first use,
so that listing the losses needs no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lossbench.losses.bound_loss import BoundLoss as BoundLoss
    from lossbench.losses.declaration import loss as loss

_TOOLS = {"BoundLoss": "bound_loss", "loss": "declaration"}


def __getattr__(name: str) -> Any:
    from lossbench.losses.facts import declared_losses

    facts = declared_losses().get(name)
    module = facts.family if facts is not None else _TOOLS.get(name)
    if module is None:
        raise AttributeError(f"module 'lossbench.losses' has no attribute {name!r}")
    return getattr(importlib.import_module(f"lossbench.losses.{module}"), name)


def __dir__() -> list[str]:
    from lossbench.losses.facts import declared_losses

    return sorted([*_TOOLS, *declared_losses()])
