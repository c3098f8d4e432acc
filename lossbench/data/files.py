"""The files of the data sets that are not embedded: where they are looked for, whether they are whole, their download.

Torchvision is imported for a download only, so that a missing or broken file is told before anything slow starts.
"""

import hashlib
import logging
import os
import threading
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from lossbench.errors import ConfigError

log = logging.getLogger(__name__)
PROBE_SECONDS = 4.0


class DataError(ConfigError):
    """The files of a data set are missing or damaged; the message says where they are looked for and what to do."""


@dataclass(frozen=True)
class Files:
    """The files of one source: torchvision's dataset class, an address it downloads from, and the MD5 of each file."""

    dataset: str
    url: str
    folder: str
    md5: dict[str, str]


def _idx(dataset: str, url: str, *md5: str) -> Files:
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    address = f"{url}train-images-idx3-ubyte.gz"
    return Files(dataset, address, f"{dataset}/raw", dict(zip(names, md5, strict=True)))


FILES = {
    "mnist": _idx(
        "MNIST",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ),
    "fashion_mnist": _idx(
        "FashionMNIST",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ),
    "cifar10": Files(
        "CIFAR10",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "cifar-10-batches-py",
        {
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
            "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
        },
    ),
    "cifar100": Files(
        "CIFAR100",
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        "cifar-100-python",
        {
            "train": "16019d7e3df5f24257cddd939b257f8d",
            "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
            "meta": "7973b15100ade9c7d40fb424638fde48",
        },
    ),
}
"""The sources that need files; all others are embedded (scikit-learn's, or generated)."""
FILES["mnist_lines"] = FILES["mnist_pairs"] = FILES["mnist"]


def data_root(root: str | None) -> Path:
    """Return the folder of the data sets: what the config says, or $LOSSBENCH_DATA, or the user's cache folder."""
    if root:
        return Path(root).expanduser()
    if environment := os.environ.get("LOSSBENCH_DATA"):
        return Path(environment).expanduser()
    return cache_folder()


def cache_folder() -> Path:
    """Return the user's cache folder: of downloaded data, and of what takes long to make and never changes."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "lossbench"


def ensure_files(source: str, root: Path) -> None:
    """See to it that the files of a source are there and whole; try one download if they are missing.

    Parameters
    ----------
    source : str
        Name of the source; an embedded one needs no files.
    root : Path
        The folder that torchvision's dataset classes get as `root`.

    Raises
    ------
    DataError
        If files are missing and can't be downloaded, or if one is damaged.

    """
    files = FILES.get(source)
    if files is None:
        return
    if missing_files(files, root):
        _download(source, files, root)
    for name, expected in files.md5.items():
        path = root / files.folder / name
        found = _md5(path)
        if found != expected:
            raise DataError(
                f"{path} is damaged: its MD5 is {found}, expected {expected}. "
                f"Delete it, then download or copy the data set anew."
            )


def missing_files(files: Files, root: Path) -> list[str]:
    """Return the names of the files that are not in their folder."""
    return [name for name in files.md5 if not (root / files.folder / name).is_file()]


def can_reach(url: str, seconds: float = PROBE_SECONDS) -> bool:
    """Tell whether a server answers; it gets so many seconds in all, even if the name look-up hangs."""
    answered, finished = threading.Event(), threading.Event()

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            with urllib.request.urlopen(request, timeout=seconds):
                answered.set()
        except (OSError, HTTPException) as error:
            log.debug("%s: %s", url, error)
        finally:
            finished.set()

    threading.Thread(target=ask, daemon=True).start()
    finished.wait(seconds)
    return answered.is_set()


def _download(source: str, files: Files, root: Path) -> None:
    if not can_reach(files.url):
        raise _missing(source, files, root, "its server can't be reached")
    from filelock import FileLock

    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{source}.lock"):
            if not missing_files(files, root):
                return
            log.info("%s: downloading to %s", source, root)
            _fetch(files, root)
    except Exception as error:
        raise _missing(source, files, root, f"the download failed ({type(error).__name__}: {error})") from error
    if missing_files(files, root):
        raise _missing(source, files, root, "the download left them out")


def _fetch(files: Files, root: Path) -> None:
    import torchvision.datasets

    dataset: Any = getattr(torchvision.datasets, files.dataset)
    dataset(str(root), train=True, download=True)


def _missing(source: str, files: Files, root: Path, reason: str) -> DataError:
    folder = root / files.folder
    missing = missing_files(files, root)
    packed = [f"{name}.gz" for name in missing if (folder / f"{name}.gz").is_file()]
    unpack = f"{', '.join(packed)} lie there still packed: run gunzip on them. " if packed else ""
    return DataError(
        f"The files of {source} are not in {folder} (missing: {', '.join(missing)}) and {reason}. {unpack}"
        f"Lay them out as torchvision does, uncompressed: {folder / missing[0]} and so on. If they are elsewhere, set "
        f"data.root=DIR or the environment variable LOSSBENCH_DATA=DIR so that DIR holds {files.folder}/. "
        f"Embedded data need no files: data=digits, data=digits_imb (imbalance) or data=digits_noisy (label noise); "
        f"data=breast_cancer (binary); data=diabetes or data=outliers (regression); data=digit_lines (sequences)."
    )


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
