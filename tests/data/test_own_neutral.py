"""`data=own`: a LightningDataModule of the user's own, with nothing of other data."""

import pytest

from lossbench.errors import ConfigError
from lossbench.running.run import run

OWN = ("data=own", "data._target_=tests.support.own_data.Own")


def test_nothing_of_other_data_comes_along(cell):
    made = cell(*OWN)
    assert made.data == "Own" and set(made.resolved["data"]) == {"_target_", "standardize", "task"}
    assert made.config.trainer.max_epochs == 20
    assert run(cell(*OWN, "trainer.max_epochs=2"))["data"]["train"] == 200


def test_options_of_its_constructor_are_added(cell):
    made = cell(*OWN, "+data.batch_size=20")
    assert made.resolved["data"]["batch_size"] == 20 and made.key != cell(*OWN).key
    with pytest.raises(ConfigError, match=r"data\.labels=x: data=Own does not take it"):
        cell(*OWN, "+data.labels=x")


def test_a_loss_chooses_the_task_of_numbers(cell):
    numbers = ("data=own", "data._target_=tests.support.own_data.OwnRegression")
    assert cell(*numbers, "data.task=regression", "loss=huber").task.name == "regression"
    assert cell(*numbers, "loss=gaussian_nll").task.name == "distributional"


def test_the_class_is_asked_for(cell):
    with pytest.raises(ConfigError, match=r"data\._target_ is needed"):
        cell("data=own")
