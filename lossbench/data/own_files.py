"""Pictures and arrays of the user's own, looked for without being read: what is not there is told at once."""

import zipfile
from pathlib import Path

from lossbench.data.files import DataError
from lossbench.data.own_pairs import read_pairs

ENDINGS = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def require_files(source: str, path: str) -> None:
    """Raise a `DataError` unless there is what a source reads at `data.path`.

    Parameters
    ----------
    source : str
        "masks", a folder, "depth_pairs" or "pairs", a file; others read nothing there.
    path : str
        Where it shall be.

    """
    if source == "pairs":
        read_pairs(path)
    if source not in ("masks", "depth_pairs"):
        return
    wanted = "a folder with images/ and masks/" if source == "masks" else "an .npz file with images and depth"
    place = Path(path).expanduser()
    if not place.exists():
        raise DataError(f"data.path={path}: there is nothing at {place.absolute()}. It is to be {wanted}.")
    if source == "depth_pairs":
        names_of_arrays(place)
        return
    for folder in (place, place / "test"):
        if folder == place or folder.is_dir():
            pairs_of(folder)


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
