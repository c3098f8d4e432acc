"""Runs of a stack that see the same images: one convolution of them, and no run gets other numbers by it."""

import pytest
import torch

from lossbench.models import LeNet
from lossbench.models.stacked_module import StackedModule
from lossbench.running.plan import plan


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def made(count: int, channels: int = 1) -> list[LeNet]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return [LeNet((channels, 28, 28)) for _ in range(count)]


@pytest.mark.parametrize("threads", [1, 2])
def test_each_maps_the_images_of_its_place(threads):
    torch.set_num_threads(threads)
    members, places = [each.double() for each in made(9)], [0, 0, 1, 0, 2, 2, 2, 1, 1]
    images = torch.randn(3, 4, 1, 28, 28, dtype=torch.float64)
    outputs = StackedModule(members, range(9))(images, torch.tensor(places))
    for output, member, place in zip(outputs, members, places, strict=True):
        torch.testing.assert_close(output, member(images[place]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_how_many_share_the_images_of_a_run_changes_no_bit_of_it(channels):
    if channels == 3 and "AVX" not in torch.backends.cpu.get_cpu_capability():
        pytest.skip("oneDNN adds otherwise for some numbers of kernels there (docs/performance.md)")
    members, images = made(12, channels), torch.randn(2, 33, channels, 28, 28)
    seen = []
    for share in (1, 2, 3, 4, 5, 6, 7, 8, 11):
        order = [*range(1, share), 0, *range(share, 12)]
        stacked = StackedModule([members[number] for number in order], range(12))
        features = stacked(images, torch.tensor([0] * share + [1] * (12 - share)))[share - 1]
        features.square().sum().backward()
        gradients = [parameter.grad[share - 1] for parameter in stacked.parameters()]
        seen.append([features.detach(), *gradients])
    assert all(torch.equal(*pair) for each in seen[1:] for pair in zip(each, seen[0], strict=True))


def test_lenets_with_one_seed_train_side_by_side(cell):
    losses = ("cross_entropy", "focal", "gce", "ldam", "label_smoothing", "balanced_softmax")
    cells = [cell("data=mnist", f"loss={loss}", f"seed={seed}") for loss in losses for seed in (2, 0, 1)]
    items = plan(cells, "stacked", places=2).items
    assert [[each.config.seed for each in item.cells] for item in items] == [[2] * 6 + [0] * 3, [0] * 3 + [1] * 6]
    assert [each.loss for item in items for each in item.cells][:6] == list(losses)
