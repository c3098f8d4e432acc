"""What a command names that is not lossbench's: its source is part of a run's key, and data take what they know."""

import ast
import importlib.util
import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from lossbench.locate import locate, targets_in

KNOWN = ("lossbench", "pytorch_lightning", "torch", "torchmetrics", "torchvision")
"""Packages whose versions are in the record of every run."""
OF_ALL_DATA = ("_target_", "standardize", "task")
"""The keys of `data` that concern data of every kind."""


def sources_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Return a hash of the source of each module that a config names and that is not ours, with what it imports.

    A module that lies beside one, or in the same package, counts with it; an installed package does not.
    """
    modules = {target.rpartition(".")[0] for target in targets_in(config)}
    own = sorted(module for module in modules if module.partition(".")[0] not in KNOWN)
    return {module: found for module in own if (found := _hash_of(module))}


def _hash_of(module: str) -> str:
    """Hash the files of a module; "" where they are not found, which importing it will tell."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return ""
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return ""
    found = sha256()
    for path in sorted(_with_imports(Path(spec.origin))):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


@cache
def _with_imports(path: Path) -> frozenset[Path]:
    """Return a file and those of the same folder, or in it, that it imports, directly or by way of others."""
    seen, waiting = set[Path](), [path]
    while waiting:
        file = waiting.pop()
        if file in seen or not file.is_file():
            continue
        seen.add(file)
        waiting += [place for place in _imported(file) if place.is_file()]
    return frozenset(seen)


def _imported(path: Path) -> Iterator[Path]:
    try:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    except (OSError, SyntaxError, ValueError):
        return
    for node in nodes:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{name}" if node.module else name for name in names)]
        for name in filter(None, names):
            for folder in path.parents[:3]:  # the folder of the file, and those of the packages around it
                place = folder.joinpath(*name.split("."))
                yield from (place.with_suffix(".py"), place / "__init__.py")


@cache
def content_of(path: str) -> str:
    """Hash the names and contents of a file, or of all files of a folder; "" where there is nothing."""
    place, found = Path(path).expanduser(), sha256()
    files = [place] if place.is_file() else sorted(each for each in place.rglob("*") if each.is_file())
    for file in files:
        found.update(f"{file.relative_to(place)}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as opened:
            while block := opened.read(2**20):
                found.update(block)
    return found.hexdigest()[:16] if files else ""


def taken_by(target: str) -> set[str] | None:
    """Return the keys of `data` that a LightningDataModule of the user takes; None where it takes all."""
    parameters = inspect.signature(locate(target)).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return None
    return {*parameters, *OF_ALL_DATA}
