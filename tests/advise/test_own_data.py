"""Advice on the user's own data: a LightningDataModule, and images that lie in a file."""

import json

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

from lossbench.advise.findings import look
from lossbench.data import DataModule, foreign
from lossbench.data.mapped import MappedRows
from lossbench.errors import ConfigError
from tests.support.own_files import module


class Mine(pl.LightningDataModule):
    """Three clusters; the training loader draws the same samples again and again."""

    def __init__(self, numbers: bool = False) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        kind = rng.integers(0, 3, 900)
        self.inputs = (rng.normal(size=(900, 5)) + 4 * kind[:, None]).astype(np.float32)
        self.target = 10 + 3 * self.inputs[:, 0] if numbers else np.where(rng.random(900) < 0.2, (kind + 1) % 3, kind)

    def part(self, k: int) -> TensorDataset:
        return TensorDataset(torch.from_numpy(self.inputs[k::3]), torch.from_numpy(self.target[k::3]))

    def train_dataloader(self) -> DataLoader:
        drawn = WeightedRandomSampler([1.0] * 5 + [0.0] * 295, 300)
        return DataLoader(self.part(0), batch_size=32, sampler=drawn)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.part(1), batch_size=32)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(self.part(2), batch_size=32)


def own(task: str, **settings: object) -> foreign.ForeignDataModule:
    node = {"_target_": f"{__name__}.Mine", "task": task, "standardize": "robust", **settings}
    return foreign.wrap(OmegaConf.create(node))


def test_a_module_of_the_users_own_is_looked_at_as_the_same_arrays(tmp_path):
    found, mine = look(own("multiclass")), Mine()
    rows = [np.arange(k, 900, 3) for k in range(3)]
    known, test = np.concatenate(rows[:2]), rows[2]
    parts = {"X": mine.inputs[known], "y": mine.target[known], "X_test": mine.inputs[test], "y_test": mine.target[test]}
    np.savez(tmp_path / "same.npz", **parts)
    same = look(module("data=arrays", f"data.path={tmp_path / 'same.npz'}"))
    assert found.keys() == same.keys() and found["samples"].value == 600 and found["test_samples"].value == 300
    assert found["imbalance"].value == same["imbalance"].value
    assert found["wrong_labels"].value == pytest.approx(0.2, abs=0.08)


def test_numbers_are_in_their_units():
    found = look(own("regression", numbers=True))
    assert found["samples"].value == 600 and found["outliers"].value < 0.02 and "skew" in found


def test_data_too_large_for_a_look_are_refused(monkeypatch):
    data = own("multiclass")
    monkeypatch.setattr(foreign, "MOST_BYTES", 1000)
    with pytest.raises(ConfigError, match=r"data\._target_=Mine: its train set has more than .* GB of inputs"):
        look(data)


def test_images_that_lie_in_a_file_are_looked_at(tmp_path):
    rng = np.random.default_rng(0)
    for place, name in enumerate(("ant", "bee")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(40):
            pixels = rng.integers(100 * place, 100 * place + 90, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{number}.png")
    told = []
    for limit in (0, 1):
        data = DataModule(
            "images", "multiclass", path=str(tmp_path / "pictures"), root=str(tmp_path / "root"), memory_limit=limit
        )
        data.setup()
        assert isinstance(data.train_dataloader().samples.inputs, MappedRows) is (limit == 0)
        told.append({name: each.told for name, each in look(data).items()})
    assert told[0] == told[1] and "accuracy_probe" in told[0]


def test_the_command_advises_on_it(monkeypatch, tmp_path, capsys):
    import sys

    from lossbench.cli import advise

    monkeypatch.chdir(tmp_path)
    words = ["lossbench.advise", "data=own", f"data._target_={__name__}.Mine", "tracking=none"]
    monkeypatch.setattr(sys, "argv", words)
    assert advise.main() == 0
    (place,) = (tmp_path / "outputs" / "advice").rglob("advice.json")
    command = json.loads(place.read_text())["command"]
    assert f"data._target_={__name__}.Mine" in command and "nce_agce" in command
