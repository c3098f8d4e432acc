"""What numbers come from: a hash of the config, versions of packages, the commit of the code."""

import hashlib
import json
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from lossbench.records.schema import Record

_PACKAGES = (
    "lossbench", "torch", "torchvision", "torchmetrics", "pytorch-lightning", "hydra-core", "mlflow", "numpy",
    "scikit-learn", "faster-coco-eval",
)  # fmt: skip


def changes(record: Record) -> list[str]:
    """Say which packages have another version now than when a run was made, e.g. "torch 2.13.0, now 2.14.1"."""
    now = versions()
    return [
        f"{name} {then}, now {now.get(name)}"
        for name, then in record.get("versions", {}).items()
        if then != now.get(name)
    ]


@cache
def versions() -> dict[str, str]:
    """Return the version of Python and of each package that can change a number."""
    installed = {name: metadata.version(name) for name in _PACKAGES if _is_installed(name)}
    return {"python": platform.python_version(), **installed}


@cache
def git_state() -> dict[str, Any] | None:
    """Return the commit of the code that runs and whether it has been changed since; None outside a checkout."""
    here = Path(__file__).parent.parent
    try:
        commit = _git(here, "rev-parse", "HEAD")
        return {"commit": commit, "changed": bool(_git(here, "status", "--porcelain", "--", "."))}
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def digest(config: dict[str, Any], leaving_out: tuple[str, ...] = ()) -> str:
    """Hash a config; keys given with dots are left out, and 2 and 2.0 are the same number.

    Examples
    --------
    >>> digest({"a": 2, "b": {"c": 1}}) == digest({"b": {"c": 1, "d": 0}, "a": 2.0}, leaving_out=("b.d",))
    True

    """

    def canonical(node: Any, path: str = "") -> Any:
        if isinstance(node, dict):
            inside = {key: f"{path}.{key}" if path else str(key) for key in node}
            return {
                str(key): canonical(node[key], inside[key]) for key in sorted(node) if inside[key] not in leaving_out
            }
        if isinstance(node, list):
            return [canonical(element, path) for element in node]
        return int(node) if isinstance(node, float) and node.is_integer() else node

    return hashlib.sha256(json.dumps(canonical(config)).encode()).hexdigest()
