"""Habits of Lightning's users: what they ask of the trainer is obeyed with true numbers, or refused before training."""

import copy

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from lossbench.config.check_targets import lightning_callbacks
from lossbench.errors import ConfigError
from lossbench.records import record
from lossbench.running.assemble import build_learner
from lossbench.running.build import build_data
from lossbench.running.plan import why_alone
from lossbench.running.run import run
from lossbench.running.stacks import run_stack

SMALL = ["data=digits", "model.hidden=[8]", "data.max_train=200", "data.max_test=80", "trainer.max_epochs=3"]


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch):
    monkeypatch.setattr("lossbench.running.artifacts.draw_run", lambda *_: [])


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("trainer.limit_val_batches=1", r"data\.max_test"),
        ("trainer.limit_val_batches=0", r"data\.max_test"),
        ("trainer.limit_val_batches=0.5", r"data\.max_test"),
        ("+trainer.limit_test_batches=1", r"data\.max_test"),
        ("trainer.overfit_batches=1", r"data\.max_train"),
        ("+trainer.fast_dev_run=true", r"trainer\.max_epochs=1"),
        ("+trainer.fast_dev_run=1", r"trainer\.max_epochs=1"),
        ("+trainer.val_check_interval=0.5", r"check_val_every_n_epoch"),
        ("+trainer.num_sanity_val_steps=2", "before training"),
        ("+trainer.logger=true", r"tracking\.uri"),
        ("+trainer.enable_checkpointing=false", "last and its best"),
        ("trainer.devices=2", "engine=packed"),
        ("trainer.devices=-1", "engine=packed"),
        ("trainer.devices=[0,1]", "engine=packed"),
        ("trainer.devices='0,1'", "engine=packed"),
        ("+trainer.num_nodes=2", "engine=packed"),
        ("trainer.strategy=ddp", "engine=packed"),
        ("trainer.callbacks=[{monitor: val/nll}]", "no callback"),
        (
            "trainer.callbacks=[{_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/nothere}]",
            r"val/nothere.*val/balanced_accuracy",
        ),
        ("trainer.callbacks=[{_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val_loss}]", "train/loss"),
        ("scheduler=plateau scheduler.monitor=val/accuracy", "Use max"),
        ("scheduler=plateau scheduler.monitor=val/nothere", "scheduler.monitor=val/nothere"),
        ("scheduler=plateau scheduler.monitor=null", r"scheduler\.monitor=val/balanced_accuracy"),
        ("scheduler=one_cycle scheduler.interval=batch", "step"),
    ],
)
def test_what_would_change_the_measured_numbers_is_refused_with_what_is_meant(line, meant, cell):
    with pytest.raises(ConfigError, match=meant):
        cell(*SMALL, *line.split(" ") if line.startswith("scheduler=") else [line])


@pytest.mark.parametrize(
    "line", ["trainer.devices=auto", "trainer.devices=[0]", "trainer.limit_val_batches=1.0", "+trainer.num_nodes=1"]
)
def test_what_changes_nothing_is_allowed(line, cell):
    cell(*SMALL, line)


EARLY = "{_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/accuracy, mode: max, patience: 1}"


def test_callbacks_may_be_a_mapping_as_in_templates(cell):
    listed = cell(*SMALL, f"trainer.callbacks=[{EARLY}]", "trainer.max_epochs=30")
    mapped = cell(*SMALL, f"trainer.callbacks={{stop: {EARLY}, other: null}}", "trainer.max_epochs=30")
    assert why_alone(mapped) is None
    assert run(listed)["history"] == run(mapped)["history"]


class Every(Callback):
    """Take an option, and be made by a method, too."""

    def __init__(self, steps=1):
        self.steps = steps

    @classmethod
    def second(cls):
        return cls(2)


def no_callback():
    return 3


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("callbacks=[{_target_: torch.nn.ReLU}]", "torch.nn.ReLU is no callback of pytorch_lightning"),
        ("callbacks=[{_target_: nowhere.Stop}]", "importing 'nowhere' failed"),
        ("callbacks={a: {_target_: pytorch_lightning.callbacks.EarlyStoping}}", "Nearest: EarlyStopping"),
        (f"callbacks=[{{_target_: {__name__}.Evry}}]", "Nearest: Every"),
        (f"callbacks=[{{_target_: {__name__}.Every, stps: 2}}]", "unexpected keyword argument 'stps'"),
        (f"callbacks=[{{_target_: {__name__}.Every, steps: {{_target_: nowhere.N}}}}]", "importing 'nowhere' failed"),
        ("profiler={_target_: nowhere.Profiler}", "importing 'nowhere' failed"),
    ],
)
def test_parts_of_a_trainer_that_can_t_be_built_are_told_before_anything_starts(option, told, cell):
    with pytest.raises(ConfigError) as error:
        cell(*SMALL, f"trainer.{option}")
    assert told in str(error.value)


def test_what_a_method_or_a_function_makes_is_seen_when_it_is_built(cell):
    assert run(cell(*SMALL, f"trainer.callbacks=[{{_target_: {__name__}.Every.second}}]"))["status"] == "finished"
    with pytest.raises(ConfigError, match=r"no_callback is no callback of pytorch_lightning"):
        run(cell(*SMALL, f"trainer.callbacks=[{{_target_: {__name__}.no_callback}}]"))


def test_the_callbacks_of_lightning_are_known_without_importing_it():
    assert lightning_callbacks() == list(pl.callbacks.__all__)


def test_a_profiler_says_what_it_has_measured(cell, caplog):
    run(cell(*SMALL, "trainer.profiler=simple"))
    assert "FIT Profiler Report" in caplog.text and "run_training_epoch" in caplog.text


class Shrink(Callback):
    """Change the network when training has ended, as averaging callbacks do."""

    def on_train_end(self, trainer, pl_module):
        with torch.no_grad():
            for parameter in pl_module.network.parameters():
                parameter.mul_(0.5)


@pytest.mark.parametrize(
    "callback",
    [
        f"{{_target_: {__name__}.Shrink}}",
        "{_target_: pytorch_lightning.callbacks.StochasticWeightAveraging, swa_lrs: 0.01, swa_epoch_start: 1}",
    ],
)
def test_the_network_that_training_leaves_is_measured_and_kept(callback, cell):
    made = cell(*SMALL, f"trainer.callbacks=[{callback}]")
    entry = run(made)
    assert entry["status"] == "finished"
    data = build_data(made.config.data)
    learner = build_learner(made, data)
    state = torch.load(made.path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    learner.load_state_dict(state)
    batch = next(iter(data.test_dataloader()))
    with np.load(made.path / "predictions.npz") as kept:
        logits = learner.eval().network(batch.inputs).detach().numpy()
        np.testing.assert_allclose(kept["logits"][: len(logits)], logits, rtol=1e-4, atol=1e-5)
        predicted = kept["probabilities"].argmax(1)
        assert entry["metrics"]["last"]["test/accuracy"] == pytest.approx((predicted == kept["target"]).mean())
    assert entry["history"][-1]["test/accuracy"] == entry["metrics"]["last"]["test/accuracy"]


def rates_of(entry):
    return [row["train/lr"] for row in entry["history"]]


def test_the_learning_rate_of_each_epoch_is_in_the_history_of_every_engine(cell, tmp_path):
    lines = [*SMALL, "optimizer=sgd", "optimizer.lr=0.2", "scheduler=step", "scheduler.milestones=[1,2]"]
    alone = run(cell(*lines, output_dir=tmp_path / "alone"))
    together = cell(*lines, output_dir=tmp_path / "together")
    run_stack([together])
    assert rates_of(alone) == rates_of(record.read(together.path)) == pytest.approx([0.2, 0.02, 0.002])


def test_a_schedule_of_steps_is_stepped_after_each(cell):
    made = cell(*SMALL, "optimizer=sgd", "optimizer.lr=0.5", "scheduler=one_cycle")
    assert "not stepped after each epoch" in why_alone(made)
    entry = run(made)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5, momentum=0.9)
    steps = len(build_data(made.config.data).train_dataloader())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.5, total_steps=3 * steps, pct_start=0.3)
    expected = []
    for step in range(3 * steps):
        expected += [optimizer.param_groups[0]["lr"]] if step % steps == 0 else []
        optimizer.step()
        schedule.step()
    assert rates_of(entry) == pytest.approx(expected)


def test_a_schedule_that_waits_for_a_metric_gets_it(cell):
    lines = ["scheduler=plateau", "scheduler.mode=max", "scheduler.monitor=val/accuracy", "scheduler.patience=0"]
    entry = run(cell(*SMALL, *lines, "optimizer.lr=1.0", "trainer.max_epochs=8"))
    rate, best, expected = 1.0, -1.0, []
    for row in entry["history"]:
        expected.append(rate)
        if row["val/accuracy"] > best * (1 + 1e-4):
            best = row["val/accuracy"]
        else:
            rate *= 0.1
    assert rates_of(entry) == pytest.approx(expected) and len(set(expected)) > 1


@pytest.mark.parametrize("precision", ["16-true", "bf16-true", "bf16-mixed"])
def test_losses_and_metrics_are_in_full_precision(precision, cell):
    entry = run(cell(*SMALL, f"trainer.precision={precision}", "loss=cosface", "optimizer=sgd", "optimizer.lr=0.01"))
    assert entry["status"] == "finished"
    assert all(np.isfinite(value) for value in entry["metrics"]["last"].values() if value is not None)


@pytest.mark.parametrize("line", ["trainer.max_steps=3", "trainer.max_steps=7", "trainer.check_val_every_n_epoch=5"])
def test_a_run_that_ends_early_is_measured_whole_as_it_is(line, cell):
    entry = run(cell(*SMALL, line))
    assert entry["status"] == "finished" and entry["history"][-1]["epoch"] == entry["epochs"]["last"]
    with np.load(cell(*SMALL, line).path / "predictions.npz") as kept:
        assert len(kept["target"]) == 80
        accuracy = (kept["probabilities"].argmax(1) == kept["target"]).mean()
    assert entry["metrics"]["last"]["test/accuracy"] == pytest.approx(accuracy)


def test_clipping_in_a_stack_with_an_incomplete_last_batch_is_that_of_the_run_alone(cell, tmp_path):
    lines = [*SMALL, "trainer.gradient_clip_val=0.1", "trainer.precision=64-true", "data.batch_size=64"]
    alone = run(cell(*lines, output_dir=tmp_path / "alone"))
    together = cell(*lines, output_dir=tmp_path / "together")
    run_stack([together])
    history = copy.deepcopy(record.read(together.path)["history"])
    for row, expected in zip(history, alone["history"], strict=True):
        assert row == pytest.approx(expected, rel=1e-7)
