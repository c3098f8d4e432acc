"""lossbench: which loss function should I use for this problem, and how sure can I be?

Importing the package costs nothing: what is public is imported on first use. `__init__.pyi` tells type checkers of it.
"""

from importlib import import_module
from typing import Any

from lossbench.losses import declaration

__version__ = "0.1.0"
_PUBLIC = {
    "advise": "lossbench.advise.of_data",
    "compare": "lossbench.compare.of_folder",
    "list_losses": "lossbench.catalogue.listing",
    "load_loss": "lossbench.catalogue.binding",
    "load_predictions": "lossbench.compare.results",
    "load_results": "lossbench.compare.results",
    "metrics": "lossbench.catalogue.listing",
}
"""Where each public function is."""
_PACKAGES = ("advise", "compare")
"""Public functions that are packages as well, which call their own."""
__all__ = ["__version__", *_PUBLIC]  # noqa: PLE0604


def _shapes_of_task(name: str) -> str:
    from lossbench.tasks import is_known, task_named

    return task_named(name).shapes if is_known(name) else ""


declaration.shapes_of_task = _shapes_of_task


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"lossbench.{name}")
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'lossbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name not in ("Any", "import_module"))})
