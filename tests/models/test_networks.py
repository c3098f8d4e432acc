import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from lossbench import load_loss
from lossbench.config.checks import check_cell
from lossbench.errors import ConfigError
from lossbench.locate import CONF
from lossbench.methods.schedules import warmup_step
from lossbench.models.backbones import MLP, hidden_for
from lossbench.running.build import build_network, hash_of
from lossbench.running.run import run


def network(model: str, input_shape: list[int], loss: str = "cross_entropy", seed: int = 0, head: str = "auto"):
    node = OmegaConf.merge(OmegaConf.load(CONF / "model" / f"{model}.yaml"), {"head": head})
    context = {"class_counts": [9] * 10} if loss == "ldam" else {}
    return build_network(node, load_loss(loss, **context), input_shape, 10, seed)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameter_counts():
    assert parameters(network("lenet", [1, 28, 28])) == 61_706
    assert parameters(network("resnet32", [3, 32, 32])) == 464_154
    assert parameters(network("mlp", [1, 8, 8])) == 64 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10


@pytest.mark.parametrize(("model", "shape"), [("mlp", [30]), ("lenet", [3, 32, 32]), ("resnet32", [1, 28, 28])])
def test_outputs_have_one_column_per_class(model, shape):
    assert network(model, shape)(torch.randn(4, *shape)).shape == (4, 10)


@pytest.mark.parametrize(("model", "shape"), [("lenet", [1, 8, 8]), ("lenet", [10]), ("resnet32", [13])])
def test_a_model_refuses_inputs_that_it_can_not_see(model, shape):
    with pytest.raises(ConfigError, match=f"model={model} needs images"):
        network(model, shape)


def test_initial_weights_depend_on_the_seed_alone():
    ours, same, other = (network("resnet32", [3, 32, 32], seed=seed) for seed in (3, 3, 4))
    assert hash_of(ours.state_dict().values()) == hash_of(same.state_dict().values())
    assert hash_of(ours.state_dict().values()) != hash_of(other.state_dict().values())
    torch.manual_seed(99)
    state = torch.get_rng_state()
    network("mlp", [5])
    assert torch.equal(torch.get_rng_state(), state)


def test_a_loss_with_another_head_keeps_the_backbone():
    linear, cosine = network("mlp", [5]), network("mlp", [5], loss="ldam")
    assert hash_of(linear.backbone.state_dict().values()) == hash_of(cosine.backbone.state_dict().values())
    assert torch.equal(linear.head.weight, cosine.head.weight)


def test_cosine_head_is_scaled_only_for_losses_that_bring_no_scale():
    inputs = torch.randn(64, 5)
    assert network("mlp", [5], loss="ldam")(inputs).abs().max() <= 1 + 1e-6
    scaled = network("mlp", [5], head="cosine")(inputs)
    assert 1 < scaled.abs().max() <= 30 + 1e-4


def test_warmup_step_is_the_schedule_of_cao_2019():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = warmup_step(optimizer, warmup_epochs=5, milestones=[160, 180], gamma=0.01)
    rates = []
    for _ in range(200):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[:6] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1, 0.1])
    assert rates[159:161] == pytest.approx([0.1, 0.001]) and rates[180] == pytest.approx(1e-5)


@pytest.mark.parametrize(("rows", "features", "width"), [(1, 4, 32), (480, 10, 64), (1500, 64, 128), (10**6, 20, 512)])
def test_hidden_layers_are_as_wide_as_rows_and_features_allow(rows, features, width):
    assert hidden_for(rows, features) == [width, width]
    assert width == 32 or (features + width) * width <= 20 * rows
    assert width == 512 or (features + 2 * width) * 2 * width > 20 * rows


@pytest.mark.usefixtures("undrawn")
def test_hidden_is_found_from_the_data_and_recorded(cell):
    entry = run(cell("data=digits", "model.hidden=auto", "trainer.max_epochs=1"))
    assert entry["hidden"] == [128, 128] and entry["config"]["model"]["hidden"] == "auto"
    same = run(cell("data=digits", "trainer.max_epochs=1"))
    assert "hidden" not in same and same["hashes"]["weights"] == entry["hashes"]["weights"]
    teacher = cell("data=digits", "model.hidden=auto", "trainer.max_epochs=1").path
    taught = run(cell("data=digits", "loss=distillation", f"teacher={teacher}", "trainer.max_epochs=1"))
    assert taught["status"] == "finished"
    with pytest.raises(ConfigError, match=r"model\.hidden=wide is not known"):
        check_cell(cell("model.hidden=wide"))
    with pytest.raises(ConfigError, match="give the width of each layer"):
        MLP([4], hidden="auto")
