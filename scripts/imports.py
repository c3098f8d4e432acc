"""Print which folder of a package imports which, every circle, and what else says how a house is built.

A room is a folder of the package, or a file that lies in the package itself. Every import counts: late ones inside
functions and those for types only, too. Floors are counted from the rooms that import nothing of the package; an arrow
that runs up goes from a room to one on the same floor or above, as each circle has to. A `__main__.py` is a
room of its own: it is what `python -m` runs, and no module imports it. So are the `report` modules of tasks, which draw
comparisons and are found by their name.

  python scripts/imports.py                   of lossbench in this checkout
  python scripts/imports.py --arrows          and each arrow with the modules that make it
  python scripts/imports.py --of DIR/PACKAGE  of another package
"""

import argparse
import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

Arrows = dict[tuple[str, str], set[str]]
"""By (importing room, imported room) the lines "module -> module" that make the arrow."""


def main() -> None:
    """Print the counts; exit with 1 if there is a circle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--of", type=Path, default=Path(__file__).parent.parent / "lossbench", help="the package")
    parser.add_argument("--arrows", action="store_true", help="print every arrow, and every comparison with a task")
    options = parser.parse_args()
    arrows = arrows_of(options.of)
    rooms = sorted({room for arrow in arrows for room in arrow})
    loops, files = circles(arrows), circles(arrows_of(options.of, of_files=True))
    inside = {arrow for arrow in arrows if any(set(arrow) <= loop for loop in loops)}
    floors = _floors({arrow for arrow in arrows if arrow not in inside}, rooms)
    print(f"files in the package itself: {len(list(options.of.glob('*.py')))}")
    print(f"rooms {len(rooms)}, floors {max(floors.values())}, arrows {len(arrows)}, of which in circles {len(inside)}")
    code, docstrings = _lines(options.of)
    print(f"lines {code}, of which in docstrings {docstrings}")
    print(f"comparisons with the name of a task, outside losses/ and tasks/: {len(list(task_comparisons(options.of)))}")
    print(f"circles of rooms: {[sorted(loop) for loop in loops] or 'none'}")
    print(f"circles of files: {[sorted(loop) for loop in files] or 'none'}")
    for (importing, imported), lines in sorted(arrows.items()) if options.arrows else []:
        print(f"{importing} -> {imported}: {'; '.join(sorted(lines))}")
    if options.arrows:
        print("\n".join(task_comparisons(options.of)))
    sys.exit(1 if loops or files else 0)


def arrows_of(package: Path, of_files: bool = False) -> Arrows:
    """Return the imports between rooms of a package, or between its files."""
    modules = {_name(path, package): path for path in sorted(package.rglob("*.py"))}
    arrows: Arrows = defaultdict(set)
    for module, path in modules.items():
        for imported in imported_by(path, modules, package.name):
            ends = (module, imported) if of_files else (_room(module), _room(imported))
            if ends[0] != ends[1]:
                arrows[ends].add(f"{module} -> {imported}")
    return arrows


def imported_by(path: Path, modules: dict[str, Path], package: str) -> Iterator[str]:
    """Yield the modules of the package that a file imports, wherever in the file that is."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == package:
            inner = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            yield from (name for name in inner.values() if name in modules)
            if any(name not in modules for name in inner.values()) and node.module in modules:
                yield node.module


def circles(arrows: Arrows) -> list[set[str]]:
    """Return the groups of rooms, or files, each of which reaches all others of its group."""
    after: dict[str, set[str]] = defaultdict(set)
    for importing, imported in arrows:
        after[importing].add(imported)
    reached = {start: _reached(start, after) for start in list(after)}
    loops: list[set[str]] = []
    for start in sorted(reached):
        loop = {other for other in reached[start] if start in reached.get(other, set())}
        if loop and loop not in loops:
            loops.append(loop)
    return loops


def task_comparisons(package: Path) -> Iterator[str]:
    """Yield "file:line: text" of each comparison with the name of a task, outside the rooms of losses and tasks."""
    names = _names_of_tasks(package / "tasks")
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).parts[0] in ("losses", "tasks"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                named = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
                if names & {name for name in named if isinstance(name, str)}:
                    yield f"{path.relative_to(package)}:{node.lineno}: {ast.unparse(node)}"


def _names_of_tasks(folder: Path) -> set[str]:
    """Return the `name` of each `Task(...)` in the folders of tasks."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in folder.glob("*/__init__.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [word for call in calls if ast.unparse(call.func) == "Task" for word in call.keywords if word.arg == "name"]
    return {ast.literal_eval(word.value) for word in named if isinstance(word.value, ast.Constant)}


def _lines(package: Path) -> tuple[int, int]:
    """Count the lines of a package, and those of its docstrings."""
    code = docstrings = 0
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        code += len(text.splitlines())
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
                first = node.body[0]
                docstrings += (first.end_lineno or first.lineno) - first.lineno + 1
    return code, docstrings


def _reached(start: str, after: dict[str, set[str]]) -> set[str]:
    seen, waiting = set[str](), [*after[start]]
    while waiting:
        if (room := waiting.pop()) not in seen:
            seen.add(room)
            waiting += after.get(room, ())
    return seen


def _floors(arrows: set[tuple[str, str]], rooms: list[str]) -> dict[str, int]:
    below = {room: {imported for importing, imported in arrows if importing == room} for room in rooms}
    floors: dict[str, int] = {}
    try:
        for room in TopologicalSorter(below).static_order():
            floors[room] = 1 + max((floors[other] for other in below[room]), default=0)
    except CycleError as error:
        raise AssertionError("circles were left out") from error
    return floors


def _name(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _room(module: str) -> str:
    parts = module.split(".")
    if parts[1:2] == ["tasks"] and parts[3:4] == ["report"]:
        return f"{parts[0]}.tasks.report"
    return module if parts[-1] == "__main__" else ".".join(parts[:2])


if __name__ == "__main__":
    main()
