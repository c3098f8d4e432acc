"""Every choice of every group composes, passes the checks, and is a run of its own: no YAML repeats another."""

import pytest

from lossbench.config.axes import AXES
from lossbench.locate import own_choices


@pytest.mark.parametrize("group", ["model", "optimizer", "scheduler", *AXES])
def test_every_choice_is_a_run_of_its_own(cell, group):
    keys = {}
    for choice in own_choices(group):
        data = "mnist" if group == "model" else "curve_imb" if choice == "lds" else "digits_imb"
        pixels = ["data=lesions", "loss=dice"] if choice in ("unet", "pixel_mlp") else []
        data = "digit_pairs" if group == "combine" else data  # whose loss has several terms
        made = cell(*(pixels or [f"data={data}"]), f"{group}={choice}")
        assert keys.setdefault(made.key, choice) == choice and made.choices[group] == choice
    assert len(keys) == len(own_choices(group)) > 1


def test_every_trainer_composes(cell):
    for choice in own_choices("trainer"):
        assert cell(f"trainer={choice}").config.trainer._target_ == "pytorch_lightning.Trainer"
