"""lossbench: which loss function should I use for this problem, and how sure can I be?

Importing the package costs nothing: `load_loss` and everything that needs torch is loaded on first use.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lossbench.losses import load_loss as load_loss

__version__ = "0.1.0"

_HERE = Path(__file__).parent
CONF = next(folder for folder in (_HERE / "conf", _HERE.parent / "conf") if (folder / "config.yaml").is_file())
"""The folder of the YAML files: inside an installed package, or beside it in a checkout."""


def __getattr__(name: str) -> Any:
    if name == "load_loss":
        from lossbench.losses import load_loss

        return load_loss
    raise AttributeError(f"module 'lossbench' has no attribute {name!r}")
