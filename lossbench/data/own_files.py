"""Files of the user's own: what is not there, or can't be learned from, is told before anything is written."""

import zipfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lossbench.data.files import DataError
from lossbench.data.own_pairs import read_pairs

ENDINGS = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

WANTED = {
    "depth_pairs": "an .npz file with images and depth",
    "images": "a folder with a folder of pictures for each class",
    "masks": "a folder with images/ and masks/",
}
"""What the sources that read something at `data.path` read there."""


OWN_FILES = {"arrays": "own_arrays", "table": "own_tables"}
"""The sources that find their task by a look at a file, and the modules of this package that read them."""


def task_of_file(node: Mapping[str, Any]) -> str | None:
    """Return the task of a user's file by its target; None where it is not yet said which.

    Parameters
    ----------
    node : mapping
        The node `data` of a config.

    Raises
    ------
    DataError
        If there is no such file or target, or it is nothing that can be learned.

    """
    given: Any = OmegaConf.to_container(node) if isinstance(node, DictConfig) else node
    found = {name: given[name] for name in ("path", "target") if name in given}
    words = [word for each in found.values() for word in (each if isinstance(each, list) else [each])]
    if not all(isinstance(word, str) and word != "???" for word in words):
        return None  # which the check of values says
    wanted = _wanted(found, "auto")
    return str(import_module(f"lossbench.data.{OWN_FILES[str(node['source'])]}").task_seen(wanted)[0])


def read_own(node: Mapping[str, Any], task: str) -> Sequence[str]:
    """Read a user's file as a run will, and return what is to be said of it; [] where data read none.

    Raises
    ------
    DataError
        If it can't be read, or nothing can be learned from it.

    """
    source = str(node.get("source"))
    if source not in OWN_FILES:
        return []
    made = import_module(f"lossbench.data.{OWN_FILES[source]}").prepare(_wanted(node, task))
    first, *further = made.told
    return [f"data={source}: {first}", *(f"  {line}" for line in further)]


def _wanted(node: Mapping[str, Any], task: str) -> Any:
    from lossbench.data.own_parts import wanted_of

    return wanted_of(node, task)


def require_files(source: str, path: str) -> None:
    """Raise a `DataError` unless there is what a source reads at `data.path`.

    Parameters
    ----------
    source : str
        "images" or "masks", a folder, "depth_pairs" or "pairs", a file; others read nothing there.
    path : str
        Where it shall be.

    """
    if source == "pairs":
        read_pairs(path)
    if source not in WANTED:
        return
    place = Path(path).expanduser()
    if not place.exists():
        raise DataError(f"data.path={path}: there is nothing at {place.absolute()}. It is to be {WANTED[source]}.")
    if source == "images":
        pictures_of_classes(place)
    elif source == "depth_pairs":
        names_of_arrays(place)
    else:
        for folder in (place, place / "test"):
            if folder == place or folder.is_dir():
                pairs_of(folder)


def pictures_of_classes(folder: Path) -> dict[str, dict[str, list[Path]]]:
    """Return the paths of pictures by class: those of the parts "train" and "test", or else of "all".

    Classes and pictures are in the order of their names.
    """
    parted = all((folder / part).is_dir() for part in ("train", "test"))
    parts = {part: folder / part for part in ("train", "test")} if parted else {"all": folder}
    found = {part: _by_class(place) for part, place in parts.items()}
    if len(classes := sorted({name for part in found.values() for name in part})) < 2:
        raise DataError(
            f"data.path: {folder} has {'no class' if not classes else f'the class {classes[0]} only'}. Make a "
            "folder of pictures for each class, two at least, in it or in its folders train/ and test/."
        )
    return found


def size_of_pictures(folder: Path) -> tuple[int, int]:
    """Return height and width of the first picture in a folder of classes, of which only the head is read; 0 if none.

    What is wrong with a picture is told where all are read.
    """
    from PIL import Image

    found = pictures_of_classes(folder)
    first = next(path for part in found.values() for of_class in part.values() for path in of_class)
    try:
        with Image.open(first) as opened:
            return opened.height, opened.width
    except OSError:
        return 0, 0


def _by_class(folder: Path) -> dict[str, list[Path]]:
    """Return the pictures in each folder of a folder."""
    classes = sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    found = {each.name: sorted(_pictures(each)) for each in classes}
    if empty := [name for name, pictures in found.items() if not pictures]:
        raise DataError(
            f"data.path: {folder / empty[0]} has no pictures ({', '.join(ENDINGS)}). A folder there is a class: "
            "fill it, or take it away."
        )
    return found


def pairs_of(folder: Path) -> list[tuple[Path, Path]]:
    """Return the paths of the images of a folder and of their masks, in the order of their names."""
    images, masks = ({each.stem: each for each in _pictures(folder / part)} for part in ("images", "masks"))
    if not images:
        raise DataError(
            f"data.path: there are no pictures in {folder / 'images'}. Put images there, and the mask of each "
            f"under the same name in {folder / 'masks'}: grey pictures with the number of the class of each pixel."
        )
    if lacking := sorted(images.keys() - masks.keys()):
        some = ", ".join(lacking[:5])
        raise DataError(f"data.path: {len(lacking)} images have no mask in {folder / 'masks'}: {some}.")
    return [(images[name], masks[name]) for name in sorted(images)]


def names_of_arrays(path: Path) -> list[str]:
    """Return the names of the arrays of an `.npz` file of images and depth."""
    try:
        with zipfile.ZipFile(path) as opened:
            names = [name.removesuffix(".npy") for name in opened.namelist()]
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"data.path={path} can't be read as an .npz file of arrays: {error}") from error
    for before in ("", "test_") if any(name.startswith("test_") for name in names) else ("",):
        if missing := [before + name for name in ("images", "depth") if before + name not in names]:
            raise DataError(f"data.path={path} has no {' and no '.join(missing)}; it has {', '.join(names)}.")
    return names


def _pictures(folder: Path) -> list[Path]:
    return [each for each in folder.iterdir() if each.suffix.lower() in ENDINGS] if folder.is_dir() else []
