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
READ = ("data", "loss", "model")
"""The parts of a config whose own code may read files that an option names."""
NOT_READ = ("data.path", "data.root", "data.standardize", "data.task")
"""Options that name no file, or one that is taken care of: `root` is where downloads are kept."""


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


def files_named(config: Mapping[str, Any]) -> dict[str, str]:
    """Return a hash of what lies at each path that an option of own code names, by the option, e.g. "data.labels".

    A text counts as a path if a file or a folder is there. `data.root` is left out: it fills by itself. So is a folder
    in which the command itself runs or writes: each run would change it.
    """
    ours = [Path.cwd(), Path(str(config["output_dir"])).resolve()]
    found = {}
    for option, text in _texts_of_own({part: config.get(part) for part in READ}):
        place = Path(text).expanduser()
        if text and _exists(place) and not any(each.is_relative_to(place.resolve()) for each in ours):
            found[option] = content_of(text)
    return {option: content for option, content in found.items() if content}


def _exists(place: Path) -> bool:
    try:
        return place.exists()
    except (OSError, ValueError):  # a text too long for a path
        return False


def _texts_of_own(node: Any, option: str = "", own: bool = False) -> Iterator[tuple[str, str]]:
    """Yield the name and value of each text in the nodes whose `_target_` is own code, and in what they hold."""
    if isinstance(node, Mapping):
        own = own or str(node.get("_target_", KNOWN[0])).partition(".")[0] not in KNOWN
        inside = [(str(name), value) for name, value in node.items() if name != "_target_"]
    elif isinstance(node, list | tuple):
        inside = [(str(place), value) for place, value in enumerate(node)]
    else:
        inside = []
        if own and isinstance(node, str) and option not in NOT_READ:
            yield option, node
    for name, value in inside:
        yield from _texts_of_own(value, f"{option}.{name}" if option else name, own)


def taken_by(target: str) -> set[str] | None:
    """Return the keys of `data` that a LightningDataModule of the user takes; None where it takes all."""
    parameters = inspect.signature(locate(target)).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return None
    return {*parameters, *OF_ALL_DATA}
