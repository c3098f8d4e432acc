"""A loaded loss is a module: it learns, moves, is saved, copied, compiled and shown."""

import copy
import pickle
from functools import cache
from xml.etree import ElementTree

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from lossbench import load_loss
from lossbench.catalogue.examine.example_batch import example_batch
from lossbench.catalogue.facts import loss_names
from lossbench.errors import ConfigError
from lossbench.losses.bound_loss import BoundLoss
from lossbench.losses.facts import RUN_CONTEXT, declared_losses
from tests.support.losses import subject_of

LOSSES = loss_names()
BOUND = {name: subject_of(name).bind() for name in LOSSES}
LEARNED = [name for name in LOSSES if BOUND[name].module and list(BOUND[name].module.parameters())]
REMEMBERING = [name for name in LOSSES if BOUND[name].module and list(BOUND[name].module.buffers())]


def loaded(name, **settings):
    """Load a loss with the run context that the contract's made-up run has."""
    known = BOUND[name].settings.items()
    context = {key: value for key, value in known if key in RUN_CONTEXT and not callable(value)}
    context |= {"num_classes": 4, "class_counts": [100, 10, 5, 1]} if "parts" in context else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return load_loss(name, **context, **settings)


@cache
def batch(name):
    """Return outputs, target and context, with which the loss is called."""
    return example_batch(BOUND[name], 2 if BOUND[name].declaration.task == "binary" else 4)


def value_of(loss, name):
    """Call a loss on its batch, with the same random numbers each time."""
    outputs, target, context = batch(name)
    torch.manual_seed(1)
    return loss(outputs, target, **context)


def same(one, other):
    torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_a_module_with_the_values_that_it_has_in_a_run(name):
    loss = loaded(name)
    expected = value_of(BOUND[name].copy(), name)
    assert isinstance(loss, nn.Module) and isinstance(loss, BoundLoss) and hash(loss)
    module = BOUND[name].module
    assert set(loss.state_dict()) == ({f"function.{key}" for key in module.state_dict()} if module else set())
    for twin in (pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss), loss.copy(), loss):
        same(value_of(twin, name), expected)


# --- What it learns and remembers ---------------------------------------------------------------------------------


class Model(pl.LightningModule):
    """A network that ends in a loss, as somebody would write it: it knows nothing of what the loss learns."""

    def __init__(self, name):
        super().__init__()
        outputs, self.target, context = batch(name)
        self.outputs, self.criterion = nn.Parameter(outputs.clone()), loaded(name, reduction="mean")
        self.context = {key: each.detach() if torch.is_tensor(each) else each for key, each in context.items()}

    def training_step(self, _):
        return self.criterion(self.outputs, self.target, **self.context)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def step(model, optimizer):
    model.training_step(None).backward()
    optimizer.step()
    optimizer.zero_grad()


@pytest.mark.parametrize("name", LEARNED)
def test_what_a_loss_learns_is_learned_by_an_optimizer_of_the_model(name):
    model = Model(name)
    before = {key: each.detach().clone() for key, each in model.criterion.named_parameters()}
    assert before and all(key.startswith("function.") for key in before)
    optimizer = model.configure_optimizers()
    for _ in range(3):
        step(model, optimizer)
    after = dict(model.criterion.named_parameters())
    assert any(not torch.equal(before[key], after[key]) for key in before)


def test_a_loss_learns_in_the_trainer_of_lightning(tmp_path):
    model = Model("center_loss")
    before = model.criterion.function.linear.weight.detach().clone()
    silent = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = pl.Trainer(max_epochs=1, enable_checkpointing=False, default_root_dir=tmp_path, **silent)
    trainer.fit(model, torch.utils.data.DataLoader([torch.zeros(1)] * 2))
    assert not torch.equal(before, model.criterion.function.linear.weight)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert {key for key in saved if key != "outputs"} == {f"criterion.{key}" for key in model.criterion.state_dict()}


@pytest.mark.parametrize("name", sorted({*LEARNED, *REMEMBERING}))
def test_the_state_of_a_wrapped_loss_continues_in_another(name):
    one, other = Model(name), Model(name)
    optimizer = one.configure_optimizers()
    step(one, optimizer)
    kept = nn.ModuleDict({"module": one}).state_dict()  # the names that DistributedDataParallel gives
    nn.ModuleDict({"module": other}).load_state_dict(kept)
    for mode in (False, True):
        for each in (one, other):
            each.criterion.train(mode)
        same(*(value_of(each.criterion, name) for each in (one, other)))


@pytest.mark.parametrize("name", REMEMBERING)
def test_a_call_after_eval_leaves_no_trace(name):
    loss = loaded(name)
    before = {key: each.clone() for key, each in loss.state_dict().items()}
    value_of(loss.eval(), name)
    assert all(torch.equal(before[key], each) for key, each in loss.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_parameters_and_memory_move_with_the_module(dtype):
    holder = nn.ModuleDict({name: loaded(name) for name in ("center_loss", "aucm", "adaptive_robust")}).to(dtype)
    assert {each.dtype for each in holder.state_dict().values() if each.is_floating_point()} == {dtype}
    assert {each.dtype for each in loaded("aucm").half().parameters()} == {torch.float16}
    on_meta = loaded("center_loss").to("meta")
    assert {each.device.type for each in on_meta.function.state_dict().values()} == {"meta"}


# --- How it is called ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["focal", "center_loss", "weighted_sum", "dice", "quantile", "ctc"])
def test_a_reduction_is_that_of_the_values(name):
    values = value_of(loaded(name), name)
    same(value_of(loaded(name, reduction="none"), name), values)
    same(value_of(loaded(name, reduction="mean"), name), values.mean())
    same(value_of(loaded(name, reduction="sum"), name), values.sum())
    outputs, target, context = batch(name)
    terms = loaded(name, reduction="sum").terms(outputs, target, **context)
    assert {len(each) for each in terms.values()} == {len(values)}  # which are never reduced
    same(value_of(loaded(name, reduction="sum").copy(), name), values)


def test_a_reduction_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match=r"reduction='man' is not known\. Nearest: mean\. Allowed: mean, none, sum"):
        load_loss("focal", reduction="man")


COMPILED = ["focal", "balanced_softmax", "huber", "dice", "gaussian_nll_global", "center_loss", "weighted_sum", "aucm"]


@pytest.mark.filterwarnings("ignore:Dynamo detected a call to a `functools.lru_cache`")
@pytest.mark.parametrize("name", COMPILED)
def test_a_loss_compiles_into_one_graph(name):
    torch.compiler.reset()
    loss, twin = loaded(name, reduction="mean"), loaded(name, reduction="mean")
    outputs, target, context = batch(name)
    free, other = outputs.clone().requires_grad_(), outputs.clone().requires_grad_()
    value = torch.compile(loss, backend="eager", fullgraph=True)(free, target, **context)
    expected = twin(other, target, **context)
    torch.testing.assert_close(value, expected)
    learned = [[each, *loss.parameters()] for each, loss in ((free, loss), (other, twin))]
    ours, theirs = (
        torch.autograd.grad(*each, allow_unused=True) for each in zip((value, expected), learned, strict=True)
    )
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("name", ["focal", "huber", "gaussian_nll_global", "weighted_sum"])
def test_a_loss_is_mapped_over_batches(name):
    loss, (outputs, target, _) = loaded(name, reduction="sum"), batch(name)
    mapped = torch.func.vmap(loss)(torch.stack([outputs, 2 * outputs]), torch.stack([target, target]))
    torch.testing.assert_close(mapped, torch.stack([loss(outputs, target), loss(2 * outputs, target)]))
    state = {key: each.detach() for key, each in loss.named_parameters()}
    same(torch.func.functional_call(loss, state, (outputs, target)), loss(outputs, target))


# --- How it is shown ----------------------------------------------------------------------------------------------


def test_a_loss_tells_its_name_and_settings():
    assert repr(load_loss("focal", gamma=1.0)) == "LoadedLoss(focal, gamma=1.0)"
    told = repr(load_loss("balanced_softmax", class_counts=torch.arange(1, 101), reduction="mean"))
    assert told == "LoadedLoss(balanced_softmax, class_counts=[1, 2, 3, 4, 5, 6, ...], reduction='mean')"
    learned = load_loss("gaussian_nll_global", sigma=2.0)
    assert repr(learned) == "LoadedLoss(\n  gaussian_nll_global, sigma=2.0\n  (function): gaussian_nll_global()\n)"
    assert learned.settings == {"sigma": 2.0} and learned.name == "gaussian_nll_global"


@pytest.mark.parametrize("name", LOSSES)
def test_a_notebook_shows_every_loss_and_draws_no_random_number(name):
    loss = loaded(name)
    state, memory = torch.random.get_rng_state(), copy.deepcopy(loss.state_dict())
    told = ElementTree.fromstring(loss._repr_html_())  # all that is special in it is escaped
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(memory[key], each) for key, each in loss.state_dict().items())
    text = "".join(told.itertext())
    assert declared_losses()[loss.name].formula in text and loss.declaration.source in text
    assert all(key in text for key, value in loss.settings.items() if not callable(value))


def test_a_curve_is_that_of_two_classes_or_of_the_residual():
    lines = {}
    for name, settings in {"focal": {}, "balanced_softmax": {"class_counts": [5, 3, 4]}, "huber": {}}.items():
        told = load_loss(name, reduction="mean", **settings)._repr_html_()
        (line,) = [each for each in ElementTree.fromstring(told).iter() if each.tag.endswith("polyline")]
        lines[name] = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
    heights = [height for _, height in lines["huber"]]
    assert heights == heights[::-1] and max(heights) > min(heights)
    assert [height for _, height in lines["focal"]] == sorted(height for _, height in lines["focal"])  # down is larger
    assert "<svg" not in loaded("several_tasks")._repr_html_()
