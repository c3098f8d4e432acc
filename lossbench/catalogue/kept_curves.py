"""The curves of lossbench's own losses with their usual parameters, kept so that a comparison needs no torch for them.

`curves.xz` beside this file has them in single precision: second differences of the bits, which are small and compress
well, since curves are smooth. `python scripts/keep_curves.py` makes it anew from the losses, and a test compares both.
"""

import json
import lzma
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.catalogue.facts import default_parameters, facts_of, hyperparameters
from lossbench.catalogue.loss_picture import POINTS, Curve

FILE = Path(__file__).with_name("curves.xz")


def kept_curve(node: Mapping[str, Any], task: str) -> Curve | None:
    """Return the curves of a loss's config node for a task; None where they are not kept.

    Examples
    --------
    >>> node = {"_target_": "lossbench.losses.mse", "_partial_": True}
    >>> kept_curve(node, "regression").at_one.tolist()
    [[1.0, 1.0], [-2.0, 2.0]]
    >>> kept_curve({**node, "_target_": "my.mse"}, "regression") is None
    True

    """
    facts = facts_of(str(node["_target_"]))
    if facts is None or (facts.name, task) not in _kept():
        return None
    usual = hyperparameters(default_parameters(facts.name))
    return _kept()[facts.name, task] if {**usual, **hyperparameters(node)} == usual else None


def single(curve: Curve) -> Curve:
    """Return curves as they would be kept: in single precision."""
    return replace(curve, heights=curve.heights.astype(np.float32).astype(np.float64))


def write_curves(found: Mapping[tuple[str, str], Curve], path: Path = FILE) -> None:
    """Keep the curves of losses, by loss and task."""
    said = [
        {"loss": loss, "task": task, "reach": curve.x[-1], "at_one": curve.at_one.tolist(), "over": curve.over,
         "asks": curve.asks}
        for (loss, task), curve in found.items()
    ]  # fmt: skip
    head = json.dumps(said).encode()
    heights = np.stack([curve.heights for curve in found.values()]).astype("<f4")
    twice = heights.view("<i4")
    for _ in range(2):
        twice = np.diff(twice, prepend=np.int32(0))  # beyond 32 bits it goes round, and back again
    bytewise = np.ascontiguousarray(twice.astype("<i4")).view(np.uint8).reshape(-1, 4).T.tobytes()
    path.write_bytes(lzma.compress(len(head).to_bytes(4, "little") + head + bytewise, preset=9))


@cache
def _kept() -> dict[tuple[str, str], Curve]:
    return read_curves(FILE)


def read_curves(path: Path) -> dict[tuple[str, str], Curve]:
    """Read what `write_curves` has kept."""
    content = lzma.decompress(path.read_bytes())
    end = 4 + int.from_bytes(content[:4], "little")
    said = json.loads(content[4:end])
    twice = np.frombuffer(content[end:], np.uint8).reshape(4, -1).T.copy().view("<i4").reshape(len(said), 3, POINTS)
    for _ in range(2):
        twice = np.cumsum(twice, axis=-1, dtype=np.int32)
    heights: NDArray[np.float32] = twice.view(np.float32)
    return {
        (each["loss"], each["task"]): Curve(
            np.linspace(-each["reach"], each["reach"], POINTS), of.astype(np.float64), np.array(each["at_one"]),
            each["over"], tuple(each["asks"]),
        )
        for each, of in zip(said, heights, strict=True)
    }  # fmt: skip
