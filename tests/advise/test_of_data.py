"""`lossbench.advise(...)`: what the command says, for programs and notebooks."""

import json
import sys

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

import lossbench
from lossbench.advise import findings
from lossbench.advise.findings import Finding
from lossbench.advise.of_data import Advised
from lossbench.cli import advise as command
from lossbench.errors import ConfigError


class Mine(pl.LightningDataModule):
    """Three clusters, of which the last is rare."""

    def _loader(self, seed: int) -> DataLoader:
        rng = np.random.default_rng(seed)
        kind = rng.choice(3, 300, p=[0.5, 0.45, 0.05])
        inputs = (rng.normal(size=(300, 4)) + 4 * kind[:, None]).astype(np.float32)
        return DataLoader(TensorDataset(torch.from_numpy(inputs), torch.from_numpy(kind)), batch_size=50)

    def train_dataloader(self) -> DataLoader:
        return self._loader(0)

    def test_dataloader(self) -> DataLoader:
        return self._loader(1)


@pytest.fixture
def made_up(monkeypatch, tmp_path):
    """Let the look find what is given, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def replace(**values):
        found = {name: Finding(name, value, f"{name} is {value}.") for name, value in values.items()}
        monkeypatch.setattr(findings, "look", lambda data: found)

    return replace


def test_it_says_what_the_command_says(made_up, monkeypatch, tmp_path):
    made_up(wrong_labels=0.3, classes=10)
    words = ["data=digits", "data.max_train=100", "mixup=mixup"]
    monkeypatch.setattr(sys, "argv", ["lossbench.advise", *words, "tracking=none"])
    advised = lossbench.advise("digits", *words[1:])
    assert list(tmp_path.iterdir()) == []  # nothing is written
    assert command.main() == 0
    (file,) = tmp_path.glob("outputs/advice/*/advice.json")
    told = json.loads(file.read_text())
    assert [each["loss"] for each in told["losses"]] == list(advised.losses)
    assert told["metrics"] == list(advised.metrics) and told["left_out"] == advised.left_out
    assert told["command"] == f"{advised.command} tracking=none"
    assert "elr" not in advised.losses and "elr" in advised.left_out  # each step mixes other samples


def test_a_module_of_a_user_is_looked_at():
    advised = lossbench.advise(Mine(), task="multiclass")
    assert isinstance(advised, Advised) and advised.data == "Mine" and advised.command == ""
    assert advised.findings["imbalance"].value > 5 and "balanced_softmax" in advised.losses
    assert "lossbench.race" not in str(advised).replace("in place of lossbench.race", "")


def test_it_shows_itself_as_text_and_as_tables(made_up):
    made_up(imbalance=30.0, accuracy_probe=0.9)
    advised = lossbench.advise("digits", "data.max_train=100")
    assert repr(advised) == f"digits: {', '.join(advised.losses)}"
    for shown in (str(advised), advised._repr_html_()):
        assert "imbalance is 30.0." in shown and advised.command.split()[-1] in shown
        assert all(loss in shown for loss in advised.losses)
        assert "Judge by" in shown and "Losses worth trying" in shown
    assert "<table>" in advised._repr_html_() and "<script" not in advised._repr_html_()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lossbench.advise("digitz"), r"data=digitz.*digits"),
        (lambda: lossbench.advise("digits", "loss=focal"), r"loss=focal: the advice says which losses to try"),
        (lambda: lossbench.advise("digits", "data.max_trian=3"), r"max_trian.*max_train"),
        (lambda: lossbench.advise("digits", "seed=0,1"), r"seed=0,1"),
        (lambda: lossbench.advise("digits", task="multclass"), r"task=multclass"),
        (lambda: lossbench.advise(Mine()), r"advise\(Mine, task=None\): say what is predicted"),
        (lambda: lossbench.advise(Mine(), task="multclass"), r"task=multclass.*Nearest: multiclass"),
        (lambda: lossbench.advise(Mine(), "data.max_train=3", task="multiclass"), r"takes no overrides"),
        (lambda: lossbench.advise([1, 2], task="multiclass"), r"advise\(list\): allowed is the name of data"),
    ],
)
def test_mistakes_are_told(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        call()
    assert list(tmp_path.iterdir()) == []


def test_the_package_is_still_a_package():
    from lossbench.advise import rules

    assert rules.__package__ == "lossbench.advise" and callable(lossbench.advise)
