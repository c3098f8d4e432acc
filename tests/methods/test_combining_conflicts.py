"""What combinations of gradients make of opposed, absent, unequal and small gradients, and where torchjd differs."""

import pytest
import torch
from torchjd import aggregation

from lossbench.methods.combining import (
    ByGradient,
    aligned_mtl,
    cagrad,
    conflict_free,
    dualproj,
    graddrop,
    imtl_g,
    mgda,
    nash_mtl,
    pcgrad,
    upgrad,
)
from tests.support.combining import of

OPPOSED = torch.tensor([[1.0, 0.0], [-2.0, 0.0]])
EQUALLY = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
ONE_IS_0 = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
UNEQUAL = torch.tensor([[1.0, 0.0], [0.0, 10.0]])
AGAINST_THE_LARGE = torch.tensor([[100.0, 0.0], [-1.0, 0.1]])
SMALL = torch.tensor([[-4e-4, 1e-4, 1e-4], [6e-4, 1e-4, 1e-4]])
METHODS = {
    aligned_mtl: "AlignedMTL", cagrad: "CAGrad", conflict_free: "ConFIG", dualproj: "DualProj", graddrop: "GradDrop",
    imtl_g: "IMTLG", mgda: "MGDA", nash_mtl: "NashMTL", pcgrad: "PCGrad", upgrad: "UPGrad",
}  # fmt: skip
SETTINGS = {"CAGrad": {"c": 0.5}, "NashMTL": {"n_tasks": 2}}


def ours(method, jacobian):
    return method(terms="ab")(jacobian)


def theirs(method, jacobian):
    name = METHODS[method]
    return getattr(aggregation, name)(**SETTINGS.get(name, {}))(jacobian)


STATED = {  # a row each: opposed, opposed and equal, one of them 0, unequal and orthogonal
    pcgrad: ([0, 0], [0, 0], [1, 0], [1, 10]),
    mgda: ([0, 0], [0, 0], [0, 0], [100 / 101, 10 / 101]),
    cagrad: ([-0.25, 0], [0, 0], [0, 0], [3.01247, 5]),
    imtl_g: ([0, 0], [0, 0], [1, 0], [10 / 11, 10 / 11]),
    nash_mtl: ([0, 0], [0, 0], [1, 0], [2**-0.5, 2**-0.5]),
    aligned_mtl: ([-0.5, 0], [0, 0], [0.5, 0], [0.5, 0.5]),
    conflict_free: ([0, 0], [0, 0], [1, 0], [5.5, 5.5]),
    dualproj: ([0, 0], [0, 0], [0.5, 0], [0.5, 5]),
    upgrad: ([0, 0], [0, 0], [0.5, 0], [0.5, 5]),
}


@pytest.mark.parametrize("method", STATED)
@pytest.mark.parametrize("place", range(4))
def test_vectors_of_special_gradients(method, place):
    jacobian = (OPPOSED, EQUALLY, ONE_IS_0, UNEQUAL)[place]
    expected = torch.tensor(STATED[method][place], dtype=torch.float32)
    torch.testing.assert_close(ours(method, jacobian), expected, rtol=1e-4, atol=1e-5)


def test_graddrop_of_opposed_gradients_is_one_of_them():
    drawn = [graddrop(terms="ab", seed=seed)(OPPOSED).tolist() for seed in range(20)]
    assert sorted(map(list, {tuple(each) for each in drawn})) == [[-2, 0], [1, 0]]
    assert ours(graddrop, ONE_IS_0).tolist() == [1, 0]
    assert ours(graddrop, UNEQUAL).tolist() == [1, 10]


@pytest.mark.parametrize(
    ("method", "jacobian", "vector"),
    [
        (imtl_g, OPPOSED, [-5, 0]),  # longer than either, and not of the same component along both
        (nash_mtl, OPPOSED, [-1, 0]),  # no solution: the weights that it begins with
        (dualproj, OPPOSED, [-5e-4, 0]),
        (upgrad, OPPOSED, [-4.4e-4, 0]),
        (cagrad, SMALL, [0, 0, 0]),  # small gradients count as none
        (dualproj, SMALL, [1e-4, 1e-4, 1e-4]),
        (upgrad, SMALL, [1e-4, 1e-4, 1e-4]),  # their mean, along which one term grows
        (dualproj, AGAINST_THE_LARGE, [25.1256, 2.4874]),
        (upgrad, AGAINST_THE_LARGE, [25.1256, 2.5374]),  # along which the term of the short gradient grows
        (nash_mtl, AGAINST_THE_LARGE, [0.00437, 0.99999]),
    ],
)
def test_torchjd_differs(method, jacobian, vector):
    torch.testing.assert_close(
        theirs(method, jacobian), torch.tensor(vector, dtype=torch.float32), rtol=1e-2, atol=1e-6
    )
    assert not torch.allclose(ours(method, jacobian), theirs(method, jacobian), rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("method", [pcgrad, aligned_mtl, mgda, cagrad])
@pytest.mark.parametrize("jacobian", [OPPOSED, EQUALLY, ONE_IS_0, UNEQUAL, AGAINST_THE_LARGE], ids=str)
def test_the_others_are_those_of_torchjd(method, jacobian):
    torch.testing.assert_close(ours(method, jacobian), theirs(method, jacobian), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", [dualproj, upgrad, pcgrad, mgda, imtl_g, conflict_free, nash_mtl])
@pytest.mark.parametrize("jacobian", [SMALL, AGAINST_THE_LARGE, 1e6 * SMALL, UNEQUAL], ids=str)
def test_no_term_of_two_grows_along_the_vector(method, jacobian):
    vector = ours(method, jacobian).double()
    products = jacobian.double() @ vector / jacobian.double().norm(dim=1) / vector.norm()
    assert (products > -1e-4).all()


@pytest.mark.parametrize("method", [m for m in METHODS if m not in (nash_mtl, graddrop)])
@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1e6])
def test_a_scale_of_all_terms_scales_the_vector(method, scale):
    jacobian = torch.randn(3, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(of(method, 3)(scale * jacobian) / scale, of(method, 3)(jacobian), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_no_gradient_at_all_gives_none_and_what_is_not_finite_is_added_up(method, dtype):
    combine = method(terms="ab")
    assert combine(torch.zeros(2, 3, dtype=dtype)).tolist() == [0, 0, 0]
    assert combine(torch.tensor([[1.0, 2.0], [torch.nan, 1.0]], dtype=dtype)).isnan().any()
    vector = combine(torch.tensor([[1.0, 2.0], [2.0, 1.0]], dtype=dtype))  # and goes on from there
    assert vector.dtype == dtype and vector.isfinite().all() and vector.norm() > 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("large", [1e-4, 1.0, 1e4])
def test_vectors_of_large_and_parallel_float32_gradients_are_finite(method, large):
    drawn = large * torch.randn(4, 9, generator=torch.Generator().manual_seed(0))
    drawn[1], drawn[2] = -2.1 * drawn[0], 3.3 * drawn[0]  # opposed and parallel but for rounding
    vector = method(terms="abcd")(drawn)
    assert vector.isfinite().all()
    assert vector.norm() <= 1.001 * max(4 * drawn.norm(dim=1).max(), 1)


@pytest.mark.parametrize("method", [m for m in METHODS if m is not nash_mtl])
def test_one_term_goes_its_own_way(method):
    gradient = torch.tensor([[3.0, -4.0]])
    vector = method(terms="a")(gradient)
    torch.testing.assert_close(vector, gradient[0] * (1.5 if method is cagrad else 1.0))


def test_a_method_is_of_the_kind_that_it_says():
    assert all(issubclass(method, ByGradient) and method.by == "gradient" for method in METHODS)
