"""Networks of timm by name, and what is said of images that are too large for ours."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from lossbench.config.check_model import say_of_large_images
from lossbench.config.checks import check_cell
from lossbench.errors import ConfigError
from lossbench.models.of_timm import TimmModel
from lossbench.running.run import run


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("ant", "bee"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 128, (100, 40, 3), dtype=np.uint8) + 100 * (name == "bee")
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "pictures" / name / f"{number}.png")
    return tmp_path / "pictures"


@pytest.mark.parametrize(("name", "shape", "features"), [
    ("resnet18", (1, 32, 32), 512), ("test_vit", (3, 32, 48), 64), ("test_efficientnet", (3, 40, 40), 256),
])  # fmt: skip
def test_networks_give_features_of_images(name, shape, features):
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    model = TimmModel(shape, name=name)
    images = torch.rand(3, *shape)
    assert model.num_features == features and model(images).shape == (3, features)
    sizes = {"img_size": shape[1:]} if "vit" in name else {}
    theirs = timm.create_model(name, num_classes=0, in_chans=shape[0], **sizes).eval()
    theirs.load_state_dict(model.net.state_dict())
    torch.testing.assert_close(model.eval()(images), theirs(images))


def test_a_run_trains_one(cell, folder):
    pytest.importorskip("timm")
    made = cell(
        "data=images", f"data.path={folder}", "data.size=[32,32]", "model=timm", "model.name=test_resnet",
        "trainer.max_epochs=1", "optimizer=adam",
    )  # fmt: skip
    check_cell(made)
    assert run(made)["status"] == "finished"


def test_what_timm_lacks_is_told_before_a_run(cell, monkeypatch):
    pytest.importorskip("timm")
    with pytest.raises(ConfigError, match=r"model\.name=resnet19: timm .* has no such network\. .*resnet18"):
        check_cell(cell("data=mnist", "model=timm", "model.name=resnet19"))
    with pytest.raises(ConfigError, match="takes images, but this data has inputs of shape"):
        TimmModel((13,))
    with pytest.raises(ConfigError, match="does not take images of shape"):
        TimmModel((3, 40, 40), name="test_vit")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match=r"pip install 'lossbench\[timm\]'"):
        check_cell(cell("data=mnist", "model=timm"))


def test_weights_that_cannot_be_had_are_told(monkeypatch, tmp_path):
    pytest.importorskip("timm")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match=r"model\.pretrained=true: timm can't get the weights of resnet18"):
        TimmModel((3, 32, 32), pretrained=True)


def test_large_images_are_told_to_bring_a_network(cell, folder):
    lines = ["data=images", f"data.path={folder}"]
    (told,) = say_of_large_images(cell(*lines))
    assert "pictures of 100x40 are large for model=lenet" in told and "model=timm" in told
    for further in ("data.size=[64,64]", "model=resnet32", "model=timm"):
        assert [*say_of_large_images(cell(*lines, further))] == []
