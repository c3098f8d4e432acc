"""lossbench: which loss function should I use for this problem, and how sure can I be?

Importing the package costs nothing: `load_loss` and everything that needs torch is loaded on first use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lossbench.catalogue.binding import load_loss as load_loss

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "load_loss":
        from lossbench.catalogue.binding import load_loss

        return load_loss
    raise AttributeError(f"module 'lossbench' has no attribute {name!r}")
