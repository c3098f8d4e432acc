"""What is left out of Hydra's work changes no config."""

import importlib.util
from unittest.mock import patch

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal import defaults_list
from omegaconf import OmegaConf

from lossbench.compat.hydra import choices_where_interpolated
from lossbench.locate import CONF

COLLECTED = []
OWN = {
    "config.yaml": "defaults: [db: mysql, engine: mysql, speed: '${engine}', '${engine}_of_${db}', _self_]\nkey: 1",
    "db/mysql.yaml": "name: mysql",
    "db/other.yaml": "defaults: [/engine: fast, _self_]\nname: other",
    "engine/mysql.yaml": "engine: of mysql",
    "engine/fast.yaml": "engine: fast",
    "speed/mysql.yaml": "slow: true",
    "speed/fast.yaml": "slow: false",
    "mysql_of_mysql.yaml": "both: mysql",
    "fast_of_mysql.yaml": "both: fast",
}
"""Defaults that name what others have chosen."""


@pytest.fixture(scope="module")
def collect():
    """Hydra's own function, as it was before anything took its place."""
    spec = importlib.util.find_spec("hydra._internal.defaults_list")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    original = module._create_interpolation_map

    def counted(overrides, defaults, self_added):
        COLLECTED.append(defaults)
        return original(overrides, defaults, self_added)

    for name in ("ConfigDefault", "GroupDefault"):
        assert getattr(module, name) is getattr(defaults_list, name)
    return counted


def composed(folder, words):
    with initialize_config_dir(str(folder), version_base="1.3"):
        return compose("config", list(words), return_hydra_config=True)


def both(folder, words, collect):
    """Compose as Hydra does and with what we leave out, with the number of lists of which choices were collected."""
    with patch.object(defaults_list, "_create_interpolation_map", collect):
        COLLECTED.clear()
        whole, of_all = composed(folder, words), len(COLLECTED)
        COLLECTED.clear()
        with choices_where_interpolated():
            return whole, of_all, composed(folder, words), len(COLLECTED)


@pytest.mark.parametrize(
    "words",
    [
        ["loss=focal"],
        ["loss=r1_gan", "data=digits"],
        ["data=digits_imb", "model=lenet", "weighting=drw", "optimizer.lr=0.1"],
    ],
)
def test_a_config_of_ours_is_the_same(words, collect):
    whole, of_all, ours, of_ours = both(CONF, words, collect)
    assert OmegaConf.to_container(ours) == OmegaConf.to_container(whole)  # their interpolations, too
    assert of_all > 20 and of_ours < 3


@pytest.mark.parametrize("words", [[], ["engine=fast"], ["+extra=1", "key=2"]])
def test_defaults_that_name_choices_have_them(tmp_path, words, collect):
    for name, text in OWN.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    whole, _, ours, of_ours = both(tmp_path, words, collect)
    assert OmegaConf.to_container(ours) == OmegaConf.to_container(whole)  # their interpolations, too
    assert of_ours == 1 and ours.both == ("fast" if "engine=fast" in words else "mysql")
