"""The comparisons of many pairs of losses as tables of numbers, so that those of 400 losses fit into memory."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from itertools import islice
from typing import Any

import numpy as np

from lossbench.compare.numbers.pairs import Pair, PairComparison
from lossbench.compare.numbers.statistics import PairedDifference
from lossbench.compare.numbers.two_sources import Sources

FEW = 10_000
"""So many pairs are left as they are."""
PARTS: dict[str, type] = {"difference": PairedDifference, "this_test_set": PairedDifference, "sources": Sources}
"""What a comparison is made of, beside its own numbers."""
_KINDS = (PairComparison, *PARTS.values())
_NUMBERS = [[each.name for each in fields(kind) if each.type is float] for kind in _KINDS]
_OTHERS = [[each.name for each in fields(kind) if each.type is not float and each.name not in PARTS] for kind in _KINDS]


def packed(pairs: dict[Pair, PairComparison]) -> Mapping[Pair, PairComparison]:
    """Return the same comparisons, those of many pairs in a fifth of the memory."""
    return pairs if len(pairs) <= FEW else PackedPairs(pairs)


class PackedPairs(Mapping[Pair, PairComparison]):
    """Comparisons, each made of a row of numbers when it is asked for, and equal to what was packed.

    Parameters
    ----------
    pairs : mapping
        The comparisons.

    """

    def __init__(self, pairs: Mapping[Pair, PairComparison]) -> None:
        self._labels = list(dict.fromkeys(label for pair in pairs for label in pair))
        self._places = {label: place for place, label in enumerate(self._labels)}
        self._ends = np.array([[self._places[label] for label in pair] for pair in pairs], dtype=np.int32)
        self._rows = np.full((len(self._labels), len(self._labels)), -1, dtype=np.int32)
        self._rows[self._ends[:, 0], self._ends[:, 1]] = np.arange(len(pairs))
        self._numbers = np.full((len(pairs), sum(map(len, _NUMBERS))), np.nan)
        kinds: dict[tuple[Any, ...], int] = {}
        of_row = []
        for row, each in enumerate(pairs.values()):
            parts = [each, *(getattr(each, name) for name in PARTS)]
            told = [getattr(part, name) for part, names in zip(parts, _NUMBERS, strict=True) if part for name in names]
            self._numbers[row, : len(told)] = told
            others = tuple(
                part and tuple(getattr(part, name) for name in names)
                for part, names in zip(parts, _OTHERS, strict=True)
            )
            of_row.append(kinds.setdefault(others, len(kinds)))
        self._kinds, self._kind = list(kinds), np.array(of_row, dtype=np.int32)

    def __getitem__(self, pair: Pair) -> PairComparison:
        one, other = (self._places.get(label) for label in pair)
        row = -1 if one is None or other is None else int(self._rows[one, other])
        if row < 0:
            raise KeyError(pair)
        numbers, made = iter(self._numbers[row].tolist()), list[Any]()
        for kind, names, others, told in zip(_KINDS, _NUMBERS, _OTHERS, self._kinds[self._kind[row]], strict=True):
            if told is None:
                made.append(None)
                continue
            own = dict(zip(others, told, strict=True)) | dict(zip(names, islice(numbers, len(names)), strict=True))
            made.append(own if kind is PairComparison else kind(**own))
        whole: dict[str, Any] = made[0]
        parts: dict[str, Any] = dict(zip(PARTS, made[1:], strict=True))
        return PairComparison(**whole, **parts)

    def __contains__(self, pair: object) -> bool:
        try:
            one, other = (self._places[label] for label in pair)  # type: ignore[attr-defined]
        except (TypeError, ValueError, KeyError):
            return False
        return bool(self._rows[one, other] >= 0)

    def __iter__(self) -> Iterator[Pair]:
        return ((self._labels[one], self._labels[other]) for one, other in self._ends.tolist())

    def __len__(self) -> int:
        return len(self._ends)
