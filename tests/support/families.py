"""Checks that the families of losses to search in share: parameters by sample, and those that a search may draw."""

import random
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from lossbench.catalogue.examine import contract
from lossbench.catalogue.examine.loss_under_test import LossUnderTest
from tests.support.losses import broken, subject_of, value_and_gradient

STAYS_WHOLE = (
    contract.return_one_number_per_sample,
    contract.stay_finite_in_float32,
    contract.stay_finite_in_bfloat16,
    contract.have_the_gradient_of_the_value,
    contract.give_a_sample_the_same_alone,
)


def drawn(name: str, number: int) -> list[dict[str, float]]:
    """Return parameters of a family, drawn from the ranges that its YAML gives a search, the rest at its defaults."""
    subject, stream = subject_of(name), random.Random(0)
    ranges = {key: (each["low"], each["high"]) for key, each in subject.search.items()}
    return [
        {**(subject.parameters or {}), **{key: round(stream.uniform(*ends), 3) for key, ends in ranges.items()}}
        for _ in range(number)
    ]


def broken_at(name: str, parameters: Mapping[str, float]) -> dict[str, str]:
    """Return the rules on behaviour that a family does not keep with these parameters, the rest at its defaults."""
    subject = subject_of(name)
    return broken(LossUnderTest(name, subject.factory, {**(subject.parameters or {}), **parameters}), STAYS_WHOLE)


def assert_same_by_sample(
    family: Callable[..., Tensor], outputs: Tensor, candidates: Sequence[Mapping[str, float]]
) -> None:
    """Hold one call, in which sample i has the parameters of candidate i, against a call for each candidate."""
    assert len(outputs) == len(candidates)
    columns = {key: torch.tensor([each[key] for each in candidates]).to(outputs) for key in candidates[0]}
    together = value_and_gradient(lambda free: family(free, **columns), outputs)
    for row, parameters in enumerate(candidates):
        alone = value_and_gradient(lambda free, p=parameters: family(free, **p), outputs)
        for got, expected in zip(together, alone, strict=True):
            torch.testing.assert_close(got[row], expected[row], rtol=1e-6, atol=1e-7)
