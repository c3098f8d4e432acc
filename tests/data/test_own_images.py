"""Images of the user's own, a folder for each class."""

import numpy as np
import pytest
import torch
from PIL import Image

from lossbench.data import DataModule
from lossbench.data.files import DataError
from lossbench.data.own_files import require_files
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
