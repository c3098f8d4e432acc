"""What is left out of Hydra's work changes no config."""

import copy
import importlib.util
from dataclasses import dataclass, field

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal import defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_store import ConfigStore
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf

from lossbench.compat.hydra import choices_where_interpolated, own_node_merged_once
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


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """Hydra as it was before anything took the place of its functions, and how often it collects choices."""
    collect = anew("defaults_list")._create_interpolation_map
    monkeypatch.setattr(defaults_list, collect.__name__, lambda *given: COLLECTED.append(given) or collect(*given))
    merge = anew("config_loader_impl").ConfigLoaderImpl._compose_config_from_defaults_list
    monkeypatch.setattr(ConfigLoaderImpl, merge.__name__, merge)


def anew(name):
    """Import a module of Hydra a second time."""
    spec = importlib.util.find_spec(f"hydra._internal.{name}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def composed(folder, words):
    COLLECTED.clear()
    with initialize_config_dir(str(folder), version_base="1.3"):
        made = compose("config", list(words), return_hydra_config=True)
    return made, len(COLLECTED)


def same(folder, words):
    """Compose as Hydra does and, twice, as we do; return the config and how many lists had their choices collected."""
    whole, of_all = composed(folder, words)
    with choices_where_interpolated(), own_node_merged_once():
        for _ in range(2):
            ours, of_ours = composed(folder, words)
            assert OmegaConf.to_container(ours) == OmegaConf.to_container(whole)  # their interpolations, too
            assert typed(ours) == typed(whole)
    return ours, of_all, of_ours


def typed(config):
    """What to_container does not say of each node: what may be written into it."""
    found = {}
    for key in config if isinstance(config, DictConfig) else ():
        node = config._get_node(key)
        found[key] = (node._metadata.ref_type, node._metadata.object_type, node._metadata.flags, typed(node))
        assert node._get_parent() is config
    return found


@pytest.mark.parametrize(
    "words",
    [
        ["loss=focal"],
        ["loss=r1_gan", "data=gaussians8"],
        ["data=digits_imb", "model=lenet", "weighting=drw", "optimizer.lr=0.1", "hydra.job.name=other"],
        ["hydra/launcher=joblib", "hydra.launcher.n_jobs=3"],
    ],
)
def test_a_config_of_ours_is_the_same(words):
    ours, of_all, of_ours = same(CONF, words)
    assert of_all > 20 and of_ours < 3
    assert (ours.hydra.job.name == "other") == (words[-1] == "hydra.job.name=other")


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize("words", [[], ["engine=fast"], ["+extra=1", "key=2"]])
def test_defaults_that_name_choices_have_them(tmp_path, words):
    write(tmp_path, OWN)
    ours, _, of_ours = same(tmp_path, words)
    assert of_ours == 1 and ours.both == ("fast" if "engine=fast" in words else "mysql")


def test_a_folder_may_have_choices_for_hydra_of_its_own(tmp_path):
    own = {"config.yaml": "defaults: [override hydra/help: mine, _self_]\nhydra: {job: {name: it}}"}
    write(tmp_path, {**own, "hydra/help/mine.yaml": "{app_name: a, header: mine, footer: b, template: c}"})
    ours, *_ = same(tmp_path, [])
    assert (ours.hydra.help.header, ours.hydra.job.name) == ("mine", "it")


def test_a_class_keeps_no_list_of_defaults(tmp_path, monkeypatch):
    @dataclass
    class Kind:
        defaults: list = field(default_factory=lambda: [{"db": "mysql"}, "_self_"])
        size: int = 3

    monkeypatch.setattr(ConfigStore.instance(), "repo", copy.copy(ConfigStore.instance().repo))
    ConfigStore.instance().store(group="kind", name="small", node=Kind)
    write(tmp_path, {"config.yaml": "defaults: [kind: small, _self_]", "kind/db/mysql.yaml": "name: mysql"})
    ours, *_ = same(tmp_path, [])
    assert OmegaConf.to_container(ours.kind) == {"db": {"name": "mysql"}, "size": 3}


def test_a_mistake_in_a_file_is_told_by_hydra(tmp_path):
    write(tmp_path, {"config.yaml": "hydra: {job: {chdir: {}}}"})
    told = []
    with pytest.raises(ConfigCompositionException) as error:
        composed(tmp_path, [])
    told.append(str(error.value))
    with choices_where_interpolated(), own_node_merged_once(), pytest.raises(ConfigCompositionException) as error:
        composed(tmp_path, [])
    assert str(error.value) == told[0] and told[0].startswith("In 'config': ")


def test_what_is_chosen_for_hydra_is_not_taken_from_another_command():
    words = [[], ["hydra/launcher=joblib"], ["hydra/help=default", "hydra/job_logging=none"]]
    expected = [composed(CONF, each)[0] for each in words]
    with own_node_merged_once():
        for each, whole in zip([*words, *words], [*expected, *expected], strict=True):
            assert OmegaConf.to_container(composed(CONF, each)[0]) == OmegaConf.to_container(whole)
