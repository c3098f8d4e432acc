"""Two views of each image in training: how they differ, what they share, alone and in stacks."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from lossbench.data import Batch, BatchLoader, DataModule
from lossbench.data.augmentation import TwoViews, moved
from lossbench.data.stacked import StackedLoader
from lossbench.seeding import torch_stream


def loader(epoch=0, n=20, dtype=torch.uint8, **settings):
    images = torch.randint(256, (n, 1, 12, 10), dtype=torch.uint8, generator=torch_stream(0, "images"))
    images = images if dtype == torch.uint8 else images.float() / 255
    rows = torch.arange(n)
    samples = Batch(images, rows % 4, rows % 4, rows + 100, {"weight": rows})
    made = BatchLoader(samples, 8, torch.zeros(1), torch.ones(1), **{"seed": 0, "views": 2, **settings})
    made.set_epoch(epoch)
    return made


def inputs_of(batches):
    return torch.cat([batch.inputs for batch in batches])


def test_a_batch_has_both_views_of_each_image_beside_each_other():
    plain, twice = [*loader(views=1)], [*loader()]
    assert [len(batch.index) for batch in twice] == [16, 16, 8] and len(loader()) == 3
    for one, two in zip(plain, twice, strict=True):
        for name in ("target", "target_clean", "index"):
            assert torch.equal(getattr(two, name), getattr(one, name).repeat_interleave(2))
        assert torch.equal(two.extras["weight"], one.extras["weight"].repeat_interleave(2))
        first, second = two.inputs[::2], two.inputs[1::2]
        assert (first - second).abs().flatten(1).mean(1).min() > 0.01
        assert (first - one.inputs).abs().flatten(1).mean(1).min() > 0.01


def test_views_depend_on_seed_and_epoch_alone():
    made = inputs_of(loader(3))
    assert torch.equal(made, inputs_of(loader(3))) and not torch.equal(made, inputs_of(loader(4)))
    index = torch.cat([batch.index for batch in loader(3)])
    by_row = made[index.argsort(stable=True)]
    small = loader(3)
    small.batch_size = 5
    index = torch.cat([batch.index for batch in small])
    torch.testing.assert_close(inputs_of(small)[index.argsort(stable=True)], by_row)


def test_bytes_count_as_shares_and_stay_as_they_are():
    bytes_, floats = loader(), loader(dtype=torch.float32)
    before = floats.samples.inputs.clone()
    torch.testing.assert_close(inputs_of(bytes_), inputs_of(floats))
    assert torch.equal(floats.samples.inputs, before)


def test_evaluation_sees_each_image_once_as_it_is():
    made = loader(seed=None)
    assert torch.equal(inputs_of(made), made.samples.inputs.float() / 255)


def test_loaders_of_views_go_side_by_side():
    loaders = [loader(seed=seed) for seed in (0, 1, 2)]
    for together, *alone in zip(StackedLoader(loaders), *loaders, strict=True):
        for place, batch in enumerate(alone):
            assert all(torch.equal(stacked[place], own) for stacked, own in zip(together[:4], batch[:4], strict=True))


def test_draws_stay_within_what_is_said():
    image = torch.zeros(1, 1, 41, 41)
    image[0, 0, 20, 20] = 1.0
    views = TwoViews(image.expand(2000, -1, -1, -1), torch_stream(0, "noise"))
    draws = views.draw(2000, torch_stream(0, "draws"))
    assert draws.shape == (2000, 2, 7) and draws.min() >= 0 and draws.max() < 1
    noiseless = draws.clone()
    noiseless[..., 5] = 0
    made = views(torch.arange(2000), noiseless)[:, 0]
    places = made.flatten(1).argmax(1)
    rows, columns = places // 41 - 20, places % 41 - 20
    assert rows.abs().max() == columns.abs().max() == 4  # a tenth of 41
    deviation = (views(torch.arange(2000), draws)[:, 0] - made).flatten(1).std(1)
    assert 0.08 < deviation.max() < 0.11 and deviation.min() < 0.005


def test_moved_images_are_those_of_scipy():
    image = ndimage.gaussian_filter(np.random.default_rng(0).random((24, 16)), 2.0)
    turn, scale, (right, down) = 0.3, 1.2, (0.1, -0.2)
    inverse = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) / scale  # rows, columns
    middle = (np.array(image.shape) - 1) / 2
    shift = np.array([down * 24 / 2, right * 16 / 2])
    expected = ndimage.affine_transform(image, inverse, middle - inverse @ (middle + shift), order=1, mode="constant")
    how = (torch.tensor([turn]), torch.tensor([scale]), torch.tensor([[right, down]]))
    found = moved(torch.from_numpy(image).float()[None, None], *how)[0, 0].numpy()
    np.testing.assert_allclose(found[4:-4, 4:-4], expected[4:-4, 4:-4], atol=1e-5)


@pytest.mark.parametrize("source", ["digits", "glyphs"])
def test_the_module_trains_on_two_views(source):
    module = DataModule(source, "embedding", disjoint=True, views=2, batch_size=16, max_train=500)
    module.setup()
    batch = next(iter(module.train_dataloader()))
    assert len(batch.index) == 32 and torch.equal(batch.index[::2], batch.index[1::2])
    assert batch.inputs.dtype == torch.float32 and batch.inputs.isfinite().all()
