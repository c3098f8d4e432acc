"""Sources of pictures with a target for each pixel: made up, and of the user's own."""

import numpy as np
import pytest
import torch
from PIL import Image

from lossbench.config.checks import check
from lossbench.config.own_code import content_of
from lossbench.data import DataModule
from lossbench.data.files import DataError
from lossbench.data.sources.source import load_source
from lossbench.errors import ConfigError
from lossbench.running.build import build_data
from tests.support.commands import make_cell

RNG = np.random.default_rng(0)


def module(source: str, task: str, **settings) -> DataModule:
    made = DataModule(source, task, val_fraction=0.2, batch_size=4, **settings)
    made.setup()
    return made


def test_masks_stay_in_bytes_until_their_batch():
    made = module("digit_scenes", "segmentation", count=40)
    samples = made.train_dataloader().samples
    assert samples.inputs.dtype == samples.target.dtype == samples.extras["instances"].dtype == torch.uint8
    assert samples.extras["image"].shape == samples.inputs.shape == (32, 3, 48, 48)
    batch = next(iter(made.train_dataloader()))
    assert batch.target.dtype == torch.int64 and batch.inputs.dtype == torch.float32
    rows = batch.index
    source = load_source("digit_scenes", made.root, 0, count=40)  # the extras stay with their samples
    for name in ("image", "instances", "boxes"):
        assert torch.equal(batch.extras[name], source.train_extras[name][rows]), name
    assert torch.equal(batch.target, source.train_target[rows].long())
    assert made.class_counts == torch.bincount(source.train_target.flatten().long(), minlength=11).tolist()


def test_ten_thousand_scenes_take_no_more_than_their_bytes():
    source = load_source("digit_scenes", None, 0, count=300)
    tensors = {id(each.untyped_storage()): each for each in (source.train_inputs, source.train_target,
               *source.train_extras.values())}  # fmt: skip
    each = sum(tensor.nbytes for tensor in {tensor.data_ptr(): tensor for tensor in tensors.values()}.values()) / 300
    assert each < 48 * 48 * (3 + 1 + 1) + 200  # image, mask, instances; and a few boxes


@pytest.mark.parametrize(
    ("name", "task", "settings", "changed"),
    [
        ("lesions", "segmentation", {"noise": {"kind": "boundary", "radius": 2.0}}, (0.001, 0.2)),
        ("lesions", "segmentation", {"noise": {"kind": "missing", "rate": 0.5}}, (0.002, 0.02)),
        ("digit_scenes", "segmentation", {"noise": {"kind": "missing", "rate": 0.3}, "count": 60}, (0.005, 0.2)),
    ],
)
def test_masks_are_corrupted_in_training_and_said_so(name, task, settings, changed):
    made = module(name, task, **settings)
    facts = made.facts()["noise"]
    assert changed[0] < facts["realised_rate"] < changed[1]
    samples = made.train_dataloader().samples
    rate = (samples.target != samples.target_clean).double().mean()
    assert facts["realised_rate"] == pytest.approx(float(rate), rel=0.5)
    test = made.test_dataloader().samples
    assert torch.equal(test.target, test.target_clean)
    assert len(made.contaminated) > 0


def test_less_foreground_is_what_it_says():
    plain, made = (module("lesions", "segmentation", imbalance=each) for each in
                   ({"kind": "none"}, {"kind": "less_foreground", "factor": 2.0}))  # fmt: skip
    shares = [each.class_counts[1] / sum(each.class_counts) for each in (plain, made)]
    assert shares[0] / shares[1] == pytest.approx(2, rel=0.1)


@pytest.fixture
def folder(tmp_path):
    """Twenty pictures with a rectangle, as PNG, and their masks with classes 0, 1, 3 and unknown pixels."""
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for number in range(20):
        mask = np.zeros((8, 12), dtype=np.uint8)
        mask[2:5, 3:7], mask[6, 0], mask[7, 11] = 1 + 2 * (number % 2), 255, 1
        image = np.repeat(mask[:, :, None] % 255 * 60, 3, 2) + RNG.integers(0, 9, (8, 12, 3), dtype=np.uint8)
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / "images" / f"{number}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{number}.png")
    return tmp_path


def test_own_pictures_are_read(folder, cell):
    made = build_data(cell("data=masks", f"data.path={folder}", "loss=dice", "model.channels=[4,8]").config.data)
    assert made.input_shape == [3, 8, 12] and made.num_classes == 4
    assert sum(made.class_counts) == made._sizes["train"] * 95 + made._sizes["val"] * 95  # but what is unknown
    assert made._sizes["test"] == 4 and made.class_counts[2] == 0
    smaller = build_data(cell("data=masks", f"data.path={folder}", "loss=dice", "data.size=[4,8]").config.data)
    assert smaller.input_shape == [3, 4, 8]


def test_what_lies_in_the_folder_is_part_of_the_key_and_not_where_it_lies(folder, cell, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    for part in ("images", "masks"):
        (other / part).mkdir()
        for path in (folder / part).iterdir():
            (other / part / path.name).write_bytes(path.read_bytes())
    lines = ["data=masks", "loss=dice"]
    one, same = (cell(*lines, f"data.path={place}") for place in (folder, other))
    assert one.key == same.key and one.problem == same.problem
    (other / "masks" / "3.png").write_bytes((other / "masks" / "4.png").read_bytes())
    content_of.cache_clear()
    changed = cell(*lines, f"data.path={other}")
    assert changed.key != one.key and changed.problem != one.problem


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: [path.unlink() for path in (folder / "images").iterdir()], "there are no pictures in"),
        (lambda folder: (folder / "masks" / "4.png").unlink(), "1 images have no mask in .*: 4"),
        (lambda folder: (folder / "masks" / "4.png").write_bytes(b"no picture"), "can't be read"),
        (lambda folder: Image.new("RGB", (12, 8)).save(folder / "masks" / "4.png"), "mode RGB; a mask is grey"),
        (lambda folder: Image.new("L", (9, 8)).save(folder / "masks" / "4.png"), "image 4 has shape"),
    ],
)
def test_mistakes_in_own_pictures_are_told(folder, cell, spoil, told):
    spoil(folder)
    with pytest.raises(DataError, match=told):
        build_data(cell("data=masks", f"data.path={folder}", "loss=dice").config.data)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("data.path=null", "data.path=null is out of range: allowed is text"),
        ("data.path=nowhere", "there is nothing at .*nowhere"),
        ("data.path=.", "there are no pictures in images"),
        ("data=depth_pairs", r"nowhere\.npz. It is to be an \.npz file with images and depth"),
    ],
)
def test_what_is_not_there_is_told_before_anything_is_written(tmp_path, monkeypatch, line, told):
    monkeypatch.chdir(tmp_path)
    lines = ["data=masks", "loss=dice", line] if "path" in line else [line, "loss=silog", "data.path=nowhere.npz"]
    with pytest.raises(ConfigError, match=told):
        check([make_cell(*lines, output_dir=tmp_path / "outputs")])
    assert not list(tmp_path.iterdir())


def test_sides_that_a_unet_cannot_halve_are_told_where_they_are_known(cell):
    with pytest.raises(ConfigError, match=r"divisible by 32, as it has 6 levels"):
        cell("data=digit_scenes", "loss=dice", "model.channels=[2,2,2,2,2,2]")
    with pytest.raises(ConfigError, match=r"divisible by 4, as it has 3 levels .* \(3, 10, 8\)"):
        cell("data=masks", "loss=dice", "data.path=.", "data.size=[10,8]")


def test_own_depth_is_read(tmp_path, cell):
    arrays = {"images": RNG.integers(0, 255, (20, 3, 8, 8), dtype=np.uint8), "depth": RNG.random((20, 8, 8))}
    path = tmp_path / "pairs.npz"
    np.savez(path, **arrays, intrinsics=np.tile(np.eye(3), (20, 1, 1)))
    made = build_data(cell("data=depth_pairs", f"data.path={path}", "loss=silog").config.data)
    batch = next(iter(made.test_dataloader()))
    assert batch.target.dtype == torch.float32 and batch.extras["intrinsics"].dtype == torch.float32
    np.testing.assert_allclose(batch.target.numpy(), arrays["depth"].astype(np.float32)[batch_rows(batch, arrays)])
    load_source.cache_clear()  # a process takes files as it has first found them
    np.savez(path, images=arrays["images"])
    with pytest.raises(DataError, match=r"has no depth; it has images"):
        build_data(cell("data=depth_pairs", f"data.path={path}", "loss=silog").config.data)
    load_source.cache_clear()
    np.savez(path, **{**arrays, "depth": arrays["depth"][:, 1:]})
    with pytest.raises(DataError, match=r"depth \(N, H, W\), but they have"):
        build_data(cell("data=depth_pairs", f"data.path={path}", "loss=silog").config.data)


def batch_rows(batch, arrays):
    """Where the images of a batch are in the file."""
    images = torch.from_numpy(arrays["images"])
    return [int((images == image).flatten(1).all(1).nonzero()) for image in batch.extras["image"]]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["data=lesions", "loss=dice", "data.share=2"], r"data\.share=2 is out of range"),
        (["data=masks", "loss=dice"], r"data\.path is needed: give it a value, data\.path="),
        (["data=lesions", "loss=dice", "+data.beta=[1,1]"], "nothing reads the key 'beta'"),
        (["data=digit_scenes", "loss=dice", "data.digits=svhn"], "data.digits=svhn is not known"),
        (["data=lesions", "loss=dice", "model=mlp"], "model=mlp has features of a whole input"),
        (["data=digits", "loss=focal", "model=unet"], "model=unet has features of each pixel"),
        (["data=lesions", "loss=dice", "data/noise=symmetric"], "is for multiclass or binary, but data=lesions"),
        (["data=digits", "data/noise=boundary"], "data/noise=boundary is for segmentation"),
        (["data=lesions", "loss=dice", "loss.per=pixel"], "loss.per=pixel is not known"),
        (["data=lesions", "loss=cross_entropy"], "loss=cross_entropy is for multiclass, but data=lesions is segment"),
    ],
)
def test_mistakes_are_told_before_anything_starts(lines, told, cell):
    with pytest.raises(ConfigError, match=told):
        cell(*lines)


@pytest.mark.real_data
def test_digits_of_mnist_lie_on_images_of_cifar(real_data_root):
    made = module("digit_scenes", "segmentation", count=20, digits="mnist", root=str(real_data_root))
    pixels = made.train_dataloader().samples
    assert len(pixels.inputs) == 16 and pixels.target.max() <= 10 and (pixels.target > 0).any()
