"""A run that was stopped goes on to the numbers, and the files, of a run that was not: each learner and each axis."""

import numpy as np
import pytest

from lossbench.records import record
from lossbench.running.run import run
from tests.support.records import killed, numbers

LINES = ["data=digit_lines", "data.max_train=300", "data.max_test=100"]
TEXTS = ["data.max_train=60", "data.max_test=20", "data.batch_size=20", "trainer.max_epochs=3"]
POINTS = ["data=gaussians8", "data.max_train=600", "data.max_test=300", "learner.network.hidden=[32,32]",
          "trainer.check_val_every_n_epoch=1", "learner.critic_steps=2", "scheduler=cosine"]  # fmt: skip
CLASSES = ["data=digits_imb", "data.max_train=200", "data.batch_size=32", "model.hidden=[16]", "trainer.max_epochs=4"]
CASES = {
    "label noise, deferred weights": ["data=digits_noisy", "weighting=drw", "trainer.max_epochs=6", "scheduler=cosine"],
    "sgd": ["data=outliers", "optimizer=sgd", "optimizer.lr=0.01", "trainer.max_epochs=6", "scheduler=cosine"],
    "sampler=class_balanced": [*CLASSES, "sampler=class_balanced"],
    "sampler=square_root": [*CLASSES, "sampler=square_root"],
    "mixup": [*CLASSES, "mixup=mixup"],
    "terms by value, over epochs": [*CLASSES, "loss=weighted_sum", "combine=dwa"],
    "terms by value, learned": [*CLASSES, "loss=nce_rce", "combine=uncertainty"],
    "terms by value, at the last shared layer": [*CLASSES, "loss=sce", "combine=gradnorm"],
    "terms by value, after a step": ["data=digits", "data.max_train=200", "loss=vae_bernoulli", "combine=famo",
                                     "trainer.max_epochs=4", "learner.network.hidden=[32]"],
    "terms by gradient, drawn": [*CLASSES, "loss=nce_rce", "combine=graddrop"],
    "distillation": ["data=digits", "loss=distillation", "model.hidden=[16]", "trainer.max_epochs=4"],
    "vae": ["data=digits", "loss=vae_gaussian", "loss.warmup_epochs=3", "trainer.max_epochs=4",
            "learner.network.hidden=[32]", "learner.network.latents=5"],
    "gan with a penalty": [*POINTS, "loss=wgan_gp", "trainer.max_epochs=5"],
    "gan of pairs": [*POINTS, "loss=relativistic_average_gan", "trainer.max_epochs=5"],
    "denoising": ["data=digits", "loss=denoise_min_snr", "trainer.max_epochs=4", "learner.network.hidden=32",
                  "learner.network.blocks=1"],
    "flow": ["data=digits", "loss=flow_nll", "trainer.max_epochs=4", "learner.network.hidden=32",
             "learner.network.couplings=2"],
    "energy": ["data=gaussians8", "data.max_train=600", "data.max_test=300", "learner.network.hidden=[32]",
               "loss=contrastive_divergence", "loss.persistent=true", "loss.steps=2", "trainer.max_epochs=4",
               "trainer.check_val_every_n_epoch=1"],
    "energy of noise": ["data=digits", "loss=noise_contrastive", "loss.nu=2", "trainer.max_epochs=4",
                        "learner.network.hidden=[32]", "learner.sampling_steps=5"],
    "transducer": [*LINES, "loss=rnn_transducer", "trainer.max_epochs=2", "learner.network.hidden=16"],
    "detector": ["data=digit_boxes", "data.count=60", "data.max_test=20", "loss=varifocal", "trainer.max_epochs=3",
                 "trainer.check_val_every_n_epoch=1", "learner.network.channels=16"],
    "bi-encoder": ["data=help_topics", "data.max_train=200", "data.max_test=60", "loss=score_distillation",
                   "learner.hard_negatives=1", "learner.network.dim=16", "trainer.max_epochs=4", "scheduler=cosine"],
    "several tasks": ["data=digit_pairs", "loss=several_tasks", "loss.terms.left=elr", "data.count=200",
                      "data.max_test=60", "model=mlp", "model.hidden=[16]", "trainer.max_epochs=4"],
    "several tasks, a network each": ["data=digit_pairs", "loss=several_tasks", "combine=alone", "data.count=200",
                                      "data.max_test=60", "model=mlp", "model.hidden=[16]", "trainer.max_epochs=4"],
    "language model": ["data=help_chars", "loss=token_cross_entropy", *TEXTS],
    "translations that are drawn": ["data=number_words", "loss=reinforce", "learner.samples=2", *TEXTS],
    "scheduled sampling": ["data=number_words", "loss=token_focal", "learner.scheduled_sampling=0.5", *TEXTS],
    "ctc": [*LINES, "loss=ctc_entropy", "trainer.max_epochs=3", "scheduler=cosine"],
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("undrawn")
def test_a_stopped_run_goes_on_to_the_same_numbers(case, cell, tmp_path, monkeypatch, taught):
    lines = CASES[case] + (taught("distillation", "digits") if case == "distillation" else [])
    whole, stopped = (cell(*lines, output_dir=tmp_path / name) for name in ("whole", "stopped"))
    assert run(whole)["status"] == "finished"
    epochs = whole.config.trainer.max_epochs
    killed(stopped, epochs // 2, 2, monkeypatch)  # in the middle of an epoch: it is begun again
    entry = record.read(stopped.path)
    assert entry["status"] == "killed" and len(entry["history"]) == epochs // 2
    run(stopped)
    assert numbers(stopped) == numbers(whole)
    files = {path.name for path in whole.path.glob("*.npz")}
    assert {path.name for path in stopped.path.glob("*.npz")} == files >= {"predictions.npz"}
    for name in files:
        with np.load(stopped.path / name) as ours, np.load(whole.path / name) as theirs:
            assert set(ours) == set(theirs)
            assert [key for key in theirs if not np.array_equal(ours[key], theirs[key], equal_nan=True)] == []
