"""Images of the user's own, a folder for each class."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lossbench.data import DataModule
from lossbench.data.files import DataError
from lossbench.data.mapped import MappedRows
from lossbench.data.own_files import require_files
from lossbench.data.sources.source import load_source
from lossbench.errors import ConfigError


def fill(folder, count, size=(12, 10), first=0):
    folder.mkdir(parents=True)
    for number in range(count):
        pixels = np.full((*size, 3), first + number, np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")


def ready(path, task="multiclass", **settings):
    module = DataModule("images", task, **{"path": str(path), "val_fraction": 0.25, **settings})
    module.setup()
    return module


@pytest.fixture
def folder(tmp_path):
    for place, name in enumerate(("cat", "ant", "bee", "dog")):
        fill(tmp_path / name, 20, first=50 * place)
    return tmp_path


def test_a_folder_is_a_class_and_a_fifth_of_each_is_tested(folder):
    module, other = ready(folder), ready(folder, seed=1, run_seed=1)
    assert module.class_names == ("ant", "bee", "cat", "dog") and module.input_shape == [3, 12, 10]
    test = module.test_dataloader().samples
    assert test.inputs.dtype == torch.uint8 and torch.bincount(test.target).tolist() == [4] * 4
    assert torch.equal(test.inputs, other.test_dataloader().samples.inputs)
    assert module.class_counts == [16] * 4
    values = test.inputs[:, 0, 0, 0] // 50
    assert values.tolist() == [{0: 1, 1: 2, 2: 0, 3: 3}[number] for number in test.target.tolist()]
    assert ready(folder, test=0.5).class_counts == [10] * 4


def test_parts_of_their_own_are_taken_as_they_are(tmp_path):
    for name in ("ant", "bee"):
        fill(tmp_path / "same" / "train" / name, 4)
        fill(tmp_path / "same" / "test" / name, 3)
        fill(tmp_path / "others" / "train" / name, 4)
        fill(tmp_path / "others" / "test" / f"a {name}", 3)
    module = ready(tmp_path / "same")
    assert module.class_counts == [4] * 2 and len(module.test_dataloader().samples.index) == 6
    with pytest.raises(ConfigError, match="images tests classes that are not in its training part"):
        ready(tmp_path / "others")
    module = ready(tmp_path / "others", "embedding", disjoint=True, val_fraction=0)
    assert module.class_names == ("ant", "bee", "a ant", "a bee")
    assert torch.bincount(module.test_dataloader().samples.target).tolist() == [0, 0, 3, 3]


def test_disjoint_classes_are_tested_whole(folder):
    module = ready(folder, "embedding", disjoint=True, val_fraction=0)
    assert module.class_names == ("ant", "bee", "cat", "dog")
    assert torch.bincount(module.test_dataloader().samples.target).tolist() == [0, 0, 20, 20]
    assert module.class_counts == [16, 16]


def test_images_of_other_sizes_are_brought_to_one(folder):
    fill(folder / "eel", 2, size=(9, 9))
    with pytest.raises(DataError, match=r"eel/00\.png has shape \(3, 9, 9\), but .*data\.size=\[HEIGHT,WIDTH\]"):
        ready(folder)
    assert ready(folder, size=[8, 6]).input_shape == [3, 8, 6]


def test_what_is_missing_or_broken_is_told(tmp_path):
    with pytest.raises(DataError, match="a folder with a folder of pictures for each class"):
        require_files("images", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="has no class"):
        require_files("images", str(tmp_path))
    fill(tmp_path / "ant", 2)
    with pytest.raises(DataError, match="has the class ant only"):
        require_files("images", str(tmp_path))
    (tmp_path / "bee").mkdir()
    with pytest.raises(DataError, match="bee has no pictures"):
        require_files("images", str(tmp_path))
    (tmp_path / "bee" / "broken.png").write_bytes(b"no picture")
    require_files("images", str(tmp_path))
    with pytest.raises(DataError, match=r"broken\.png can't be read"):
        ready(tmp_path)


def test_its_preset_composes_with_a_convolutional_network(cell, folder):
    made = cell("data=images", f"data.path={folder}", "data.size=[16,16]")
    assert made.choices["model"] == "lenet" and made.task.name == "multiclass"
    with pytest.raises(ConfigError, match=r"data\.path is needed"):
        cell("data=images")


@pytest.fixture
def limited(folder, tmp_path_factory):
    return {"path": folder, "root": str(tmp_path_factory.mktemp("cache")), "memory_limit": 1e-6}


def batches(module):
    return [*module.train_dataloader(), *module.test_dataloader()]


@pytest.mark.parametrize(
    ("task", "settings"),
    [
        ("multiclass", {}),
        ("multiclass", {"noise": {"kind": "instance", "rate": 0.2}, "max_train": 40}),
        ("embedding", {"disjoint": True, "val_fraction": 0, "views": 2}),
    ],
)
def test_images_beyond_the_limit_lie_in_a_file_and_give_the_same_numbers(limited, task, settings):
    mapped = ready(task=task, **limited, **settings)
    usual = ready(limited["path"], task, **settings)
    assert isinstance(mapped.train_dataloader().samples.inputs, MappedRows)
    assert mapped.facts() == usual.facts() and mapped.hashes == usual.hashes
    for one, other in zip(batches(mapped), batches(usual), strict=True):
        assert torch.equal(one.inputs, other.inputs) and torch.equal(one.target, other.target)
        assert torch.equal(one.extras["image"], other.extras["image"])


def test_the_file_is_made_once_for_the_same_contents(limited):
    ready(**limited)
    (made,) = (Path(limited["root"]) / "pictures").glob("*.uint8")
    before = made.stat().st_mtime_ns
    assert made.stat().st_size == 80 * 3 * 12 * 10
    load_source.cache_clear()
    ready(**limited)
    assert made.stat().st_mtime_ns == before
    Image.fromarray(np.full((12, 10, 3), 9, np.uint8)).save(limited["path"] / "ant" / "00.png")
    load_source.cache_clear()
    assert 9 in ready(**limited).test_dataloader().samples.inputs.whole[:20, 0, 0, 0]


def test_what_is_half_written_is_swept(limited):
    kept = Path(limited["root"]) / "pictures"
    kept.mkdir(parents=True)
    (kept / "of-a-killed-process.part").write_bytes(b"123")
    (limited["path"] / "dog" / "19.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"19\.png can't be read"):
        ready(**limited)
    assert [each.suffix for each in kept.iterdir() if each.name != ".lock"] == [".part"]
    (limited["path"] / "dog" / "19.png").unlink()
    ready(**limited)
    assert [each.suffix for each in kept.iterdir() if each.name != ".lock"] == [".uint8"]


def test_a_folder_that_cannot_be_written_is_told(limited):
    (Path(limited["root"]) / "pictures").write_bytes(b"a file")
    with pytest.raises(DataError, match=r"data\.memory_limit: .* data\.root=DIR"):
        ready(**limited)


def test_the_limit_is_in_no_key(cell, folder):
    keys = {cell("data=images", f"data.path={folder}", f"data.memory_limit={limit}").key for limit in (0, 1)}
    assert len(keys) == 1


def test_mean_and_deviation_are_those_of_the_pixels(folder):
    loader = ready(folder, val_fraction=0).train_dataloader()
    pixels = loader.samples.inputs.numpy() / 255
    np.testing.assert_allclose(loader._mean, pixels.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(loader._std, pixels.std((0, 2, 3), ddof=1), rtol=1e-6)
