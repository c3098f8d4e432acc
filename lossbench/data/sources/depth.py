"""Images with the depth of each pixel, and other views of the same: made up, or of the user's own."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lossbench.data.corruptions import part_of
from lossbench.data.files import DataError
from lossbench.data.own_files import names_of_arrays
from lossbench.data.ray_casting import DepthScenes
from lossbench.data.ray_casting import depth_scenes as rendered
from lossbench.data.sources.pictures import standardised
from lossbench.data.sources.source import FIXED, Source, source
from lossbench.ranges import takes
from lossbench.seeding import numpy_stream

VIEWS = ("other_views", "intrinsics", "poses")


@source(shape=(3, 48, 48), serves=("depth",))
@takes(count="int [10, inf)")
def depth_scenes(root: Path, seed: int, *, count: int = 600) -> Source:
    """Made-up scenes of spheres and boxes: `count` to train, 150 fixed to test; each with two further views."""
    train = rendered(count, numpy_stream(seed, "depth_scenes", "train"), 48)
    test = rendered(150, numpy_stream(FIXED, "depth_scenes", "test"), 48)
    pairs = {
        name: (torch.from_numpy(getattr(train, name)), torch.from_numpy(getattr(test, name)))
        for name in DepthScenes._fields
    }
    extras = {name: pairs[name] for name in VIEWS}
    return standardised("depth", pairs["images"], pairs["depth"], extras=extras)


@source(shape=(), serves=("depth",))
@takes(path="text", test="number (0, 1)")
def depth_pairs(root: Path, seed: int, *, path: str, test: float = 0.2) -> Source:
    """Images and depth of the user's own, from an `.npz` file; kept in memory as it holds them.

    It has `images` (N, 3, H, W) uint8 and `depth` (N, H, W), 0 where it is not known; for losses that look at other
    views `other_views` (N, V, 3, H, W) uint8, `intrinsics` (N, 3, 3) in pixels and `poses` (N, V, 4, 4), which lead
    from the camera of the image to those of the views. A test part of its own has the same names with `test_` in front.

    Parameters
    ----------
    root : Path
        Not looked at.
    seed : int
        Not looked at.
    path : str
        The file.
    test : float
        Without a test part, the share that is drawn for it, the same under every seed.

    Raises
    ------
    DataError
        If the file can't be read, or an array is missing or has another shape.

    """
    arrays = _read(Path(path).expanduser())
    own = {name.removeprefix("test_"): each for name, each in arrays.items() if name.startswith("test_")}
    train = {name: each for name, each in arrays.items() if not name.startswith("test_")}
    if not own:
        order = numpy_stream(FIXED, "depth_pairs", "test").permutation(len(train["images"]))
        chosen, rest = (np.sort(each) for each in np.split(order, [max(1, part_of(len(order), test))]))
        own, train = ({name: each[torch.from_numpy(rows)] for name, each in train.items()} for rows in (chosen, rest))
    pairs = {name: (train[name], own[name]) for name in train}
    extras = {name: pairs[name] for name in VIEWS if name in pairs}
    return standardised("depth", pairs["images"], pairs["depth"], extras=extras)


def _read(path: Path) -> dict[str, Tensor]:
    """Read the arrays of a file, and check that they belong together."""
    names = names_of_arrays(path)
    try:
        with np.load(path, allow_pickle=False) as opened:
            arrays = {name: torch.from_numpy(opened[name]) for name in opened.files}
    except (OSError, ValueError) as error:
        raise DataError(f"data.path={path} can't be read as an .npz file of arrays: {error}") from error
    for before in ("", "test_") if "test_images" in names else ("",):
        images, depth = arrays[before + "images"], arrays[before + "depth"]
        if images.ndim != 4 or images.shape[1] != 3 or depth.shape != (len(images), *images.shape[-2:]):
            raise DataError(
                f"data.path={path}: {before}images must have shape (N, 3, H, W) and {before}depth (N, H, W), but they "
                f"have {tuple(images.shape)} and {tuple(depth.shape)}."
            )
        arrays[before + "depth"] = depth.float()
        for name in (before + "intrinsics", before + "poses"):
            if name in arrays:
                arrays[name] = arrays[name].float()
    return arrays
