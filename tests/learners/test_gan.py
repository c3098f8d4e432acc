"""The learner of two players: turns, shared draws, penalties, resuming, divergence and collapse as results."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from lossbench.catalogue.binding import load_loss
from lossbench.catalogue.examine.contract import other_players, rules_for
from lossbench.compare.numbers.comparisons import comparisons
from lossbench.compare.report.fairness import cautions
from lossbench.config.compose import compose_cells
from lossbench.errors import ConfigError
from lossbench.learners import GAN
from lossbench.learners.gan import gradient_norm
from lossbench.losses.facts import declared_losses
from lossbench.running.assemble import build_learner
from lossbench.running.build import build_data
from lossbench.running.run import run
from lossbench.seeding import torch_stream
from tests.support.losses import broken, subject_of

ADVERSARIAL = sorted(name for name, facts in declared_losses().items() if facts.task == "gan")
SMALL = [
    "data=gaussians8", "learner.network.hidden=[32,32]", "data.max_train=600", "data.max_test=300",
    "trainer.check_val_every_n_epoch=1",
]  # fmt: skip


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_the_generators_part_keeps_the_contract_too(name):
    (generator,) = other_players(subject_of(name))
    of_the_catalogue = ("have_the_parameters_of_the_signature", "search_within_the_ranges")
    points = [point for point in rules_for(generator) if point.__name__ not in of_the_catalogue]
    assert len(points) > 5 and broken(generator, points) == {}


@pytest.mark.parametrize("name", ADVERSARIAL)
@pytest.mark.usefixtures("undrawn")
def test_every_loss_moves_the_generator_towards_the_data(cell, name):
    lines = [*SMALL, "learner.network.hidden=[64,64]", "data.batch_size=64", "optimizer.lr=0.002"]
    lines += ["trainer.check_val_every_n_epoch=4", "trainer.max_epochs=40", "learner.critic_steps=2"]
    if name == "wgan_gp":  # a penalty of 10 wants thousands of steps
        lines += ["loss.penalty=0.1", "learner.critic_steps=3", "learner.network.latents=4"]
    entry = run(cell(*lines, f"loss={name}"))
    assert entry["status"] == "finished", entry.get("traceback")
    distances = [row["test/sliced_wasserstein"] for row in entry["history"] if "test/sliced_wasserstein" in row]
    assert min(distances) < 0.5  # that of an untrained generator, whose samples lie near the centre, is about 0.67
    for row in entry["history"]:
        assert all(math.isfinite(row[f"train/{term}"]) for term in ("loss", "discriminator", "critic_estimate"))


@pytest.mark.usefixtures("undrawn")
def test_losses_share_weights_and_data(cell):
    entries = [run(cell(*SMALL, f"loss={name}", "trainer.max_epochs=1")) for name in ("non_saturating", "wgan_gp")]
    for key in ("weights", "targets", "split", "order"):
        assert len({entry["hashes"][key] for entry in entries}) == 1, key


@pytest.mark.usefixtures("undrawn")
def test_the_draws_of_the_latents_do_not_depend_on_the_loss(cell, monkeypatch):
    seen = {}
    make = GAN._fakes

    def remember(self, like):
        seen[self.loss.function.func.__name__].append(self._latents.get_state())
        return make(self, like)

    monkeypatch.setattr(GAN, "_fakes", remember)
    for name in ("non_saturating", "wgan_gp"):
        seen[name] = []
        run(cell(*SMALL, f"loss={name}", "trainer.max_epochs=2"))
    assert len(seen["wgan_gp"]) == len(seen["non_saturating"]) > 8
    assert all(torch.equal(a, b) for a, b in zip(*seen.values(), strict=True))


@pytest.mark.parametrize("critic_steps", [1, 3, 100])
@pytest.mark.usefixtures("undrawn")
def test_the_critic_steps_on_every_batch_and_the_generator_in_its_turn(cell, monkeypatch, critic_steps):
    turns = []
    step = GAN._step

    def remember(self, optimizer, player, value):
        turns.append("c" if player is self.network.critic else "g")
        step(self, optimizer, player, value)

    monkeypatch.setattr(GAN, "_step", remember)
    run(cell(*SMALL, "data.batch_size=108", f"learner.critic_steps={critic_steps}", "trainer.max_epochs=2"))
    epoch = {1: "cgcgcgcgcg", 3: "cccgccg", 100: "cccccg"}[critic_steps]  # 540 samples to train: 5 batches
    assert "".join(turns) == 2 * epoch


def test_each_player_moves_its_own_weights_only(cell):
    made = cell(*SMALL, "loss=wgan_gp", "optimizer=sgd", "optimizer.lr=0.01", "trainer.max_epochs=1")
    data = build_data(made.config.data)
    learner = build_learner(made, data)
    learner._latents, learner._between = torch_stream(0, "a"), torch_stream(0, "b")
    before = copy.deepcopy(learner.network.state_dict())
    batch = next(iter(data.train_dataloader()))
    learner.manual_backward = lambda value, inputs: value.backward(inputs=inputs)
    critic, _ = learner.configure_optimizers()[0]
    learner._critic_step(critic, batch, tell=True)
    changed = {name.partition(".")[0] for name, weight in learner.network.state_dict().items()
               if not torch.equal(weight, before[name])}  # fmt: skip
    assert changed == {"critic"}
    assert all(weight.grad is None for weight in learner.network.generator.parameters())


@pytest.mark.usefixtures("undrawn")
def test_clipped_weights_stay_in_their_box(cell):
    made = cell(*SMALL, "loss=wasserstein", "loss.clip=0.02", "optimizer=rmsprop", "trainer.max_epochs=1")
    assert run(made)["status"] == "finished"
    weights = torch.load(made.path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    largest = {part: max(float(weight.abs().max()) for name, weight in weights.items() if f".{part}." in name)
               for part in ("critic", "generator")}  # fmt: skip
    assert largest["critic"] == pytest.approx(0.02) and largest["generator"] > 0.1


@pytest.mark.usefixtures("undrawn")
@pytest.mark.usefixtures("whole_checkpoints")
def test_the_schedules_of_both_players_go_on_each_epoch(cell, tmp_path):
    made = cell(*SMALL, "scheduler=step", "scheduler.milestones=[1]", "trainer.max_epochs=2")
    run(made)
    checkpoint = torch.load(made.path / "checkpoints" / "last.ckpt", weights_only=True)
    rates = [state["param_groups"][0]["lr"] for state in checkpoint["optimizer_states"]]
    assert rates == pytest.approx([made.config.optimizer.lr / 10] * 2)


def test_a_run_that_diverges_is_a_result(cell):
    entry = run(cell(*SMALL, "loss=least_squares_gan", "optimizer=sgd", "optimizer.lr=1e8", "trainer.max_epochs=3"))
    assert entry["status"] == "diverged" and entry["diverged"]["step"] >= 0


def test_what_a_run_leaves(cell):
    made = cell(*SMALL, "trainer.max_epochs=3")
    entry = run(made)
    assert entry["learner"] == "gan" and entry["monitor"] == "sliced_wasserstein"
    names = {path.name for path in made.path.iterdir()}
    assert {"points.png", "learning_curves.png", "snapshots.npz", "predictions.npz"} <= names
    with np.load(made.path / "snapshots.npz") as snapshots, np.load(made.path / "predictions.npz") as predictions:
        assert snapshots["samples"].shape == (3, 500, 2) and snapshots["critic"].shape == (3, 40, 40)
        assert predictions["samples"].shape == predictions["real"].shape == (300, 2)
    metrics = {name.removeprefix("test/") for name in entry["metrics"]["last"] if name.startswith("test/")}
    assert metrics == {"sliced_wasserstein", "mmd", "good_samples", "modes_covered", "mode_kl", "collapsed"}


@pytest.mark.usefixtures("undrawn")
def test_images_are_kept_as_bytes(cell):
    made = cell("loss=hinge_gan", "data=digits", "data.max_train=200", "data.max_test=60", "trainer.max_epochs=1")
    entry = run(made)
    assert entry["status"] == "finished", entry.get("traceback")
    with np.load(made.path / "predictions.npz") as predictions:
        assert predictions["samples"].dtype == np.uint8 and predictions["samples"].shape == (60, 1, 8, 8)
    assert {"test/sliced_wasserstein", "test/diversity", "test/collapsed"} <= set(entry["metrics"]["last"])


@pytest.mark.parametrize("network", ["gan_mlp", "gan_conv"])
@pytest.mark.usefixtures("undrawn")
def test_networks_of_images(cell, network):
    made = cell("loss=wgan_gp", "data=digits", "data.max_train=100", "data.max_test=40", "trainer.max_epochs=1",
                f"learner/network={network}")  # fmt: skip
    assert run(made)["status"] == "finished"


@pytest.mark.usefixtures("undrawn")
def test_a_collapsed_generator_is_told(cell):
    entries = []
    for loss, seed in (("hinge_gan", 0), ("hinge_gan", 1), ("non_saturating", 0)):
        made = cell(*SMALL, f"loss={loss}", f"seed={seed}", "trainer.max_epochs=1")
        entry = run(made)
        entry["metrics"]["last"]["test/collapsed"] = float(loss == "hinge_gan")
        entries.append({**entry, "folder": str(made.path)})
    (comparison,) = comparisons(entries)
    (told,) = [line for line in cautions(comparison) if "ollapsed" in line]
    assert "hinge_gan (seeds 0 and 1)" in told and "non_saturating" not in told


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["loss=focal", "data=gaussians8"], "has points to be generated. Losses that serve them: .*hinge_gan.*wgan_gp"),
        (["loss=wgan_gp", "data=breast_cancer"], "wgan_gp is for gan, but data=breast_cancer is binary"),
        (
            ["data=gaussians8", "learner.critic_steps=0"],
            r"learner.critic_steps=0 is out of range: allowed is a whole number in \[1, inf",
        ),
        (["data=gaussians8", "trainer.gradient_clip_val=1"], "not for learner=gan"),
        (["data=gaussians8", "model=lenet"], "model is for what predicts and compares"),
        (
            ["data=gaussians8", "loss=wasserstein", "loss.clip=0"],
            r"loss.clip=0 is out of range: allowed is a number in \(0, inf",
        ),
        (["data=gaussians8", "monitor=accuracy"], "Allowed: collapsed, frechet, good_samples"),
        (["data=gaussians8", "optimizer.calibrate=gradient"], "no baseline for gan"),
        (["data=gaussians8", "learner=supervised"], "is learned by learner=gan"),
    ],
)
def test_what_can_not_work_is_told(cell, lines, said):
    with pytest.raises(ConfigError, match=said):
        cell(*lines)


def test_betas_of_an_optimizer_without_them_are_told(lossbench):
    done = lossbench("data=gaussians8", "optimizer=rmsprop", "optimizer.betas=[0,0.9]", "tracking=none")
    assert done.returncode == 2 and "there is no key 'betas' in optimizer" in done.stderr


def test_the_loss_chooses_its_learner_and_the_learner_its_optimizer(cell):
    made = cell("loss=wgan_gp", "data=digits")
    assert (made.choices["learner"], made.choices["optimizer"]) == ("gan", "adam_gan")
    assert made.config.data.task == "gan" and list(made.config.optimizer.betas) == [0.5, 0.9]
    assert cell("loss=wgan_gp", "data=digits", "optimizer=sgd").config.optimizer._target_ == "torch.optim.SGD"
    assert cell("loss=cross_entropy", "data=digits").choices["optimizer"] == "adam"


def test_sweeps_compose_for_points(lossbench):
    from lossbench.compat.hydra import parse_arguments

    arguments = parse_arguments(["-m", "loss=hinge_gan,wgan_gp", "seed=0,1", "data=ring", "tracking=none"])
    cells = compose_cells(arguments)
    assert len({made.problem for made in cells}) == 1 and len({made.key for made in cells}) == 4


def test_a_trained_critic_with_gradient_penalty_estimates_the_distance_of_two_points():
    """Between point masses at a and b the Wasserstein-1 distance is |a - b|.

    The penalty pulls the slope to 1 on the line between them: with weight 10 the best slope is 1 + |a - b| / 20, since
    -d s + 10 (s - 1)^2 is least there, and the estimate d s exceeds the distance by d^2 / 20.
    """

    class Critic(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))

        def score(self, points):
            return self.layers(points).squeeze(1)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        critic = Critic()
    loss, draws = load_loss("wgan_gp"), torch.Generator().manual_seed(0)
    real, fake = torch.tensor([0.4, -0.3]).expand(64, 2), torch.tensor([-0.2, 0.5]).expand(64, 2)
    optimizer = torch.optim.Adam(critic.parameters(), lr=0.005, betas=(0.5, 0.9))
    for _ in range(600):
        norms = gradient_norm(critic, torch.lerp(fake, real, torch.rand(64, 1, generator=draws)))
        optimizer.zero_grad()
        loss(critic.score(fake), critic.score(real), player="discriminator", gradient_norm=norms,
             real_gradient_norm=None).mean().backward()  # fmt: skip
        optimizer.step()
    estimate = (critic.score(real) - critic.score(fake)).mean().item()
    assert estimate == pytest.approx(1.0 * (1 + 1 / 20), rel=0.02)
