"""Every loss of the catalogue trains a network that beats a constant predictor; all losses of a task in one stack."""

import pytest

from tests.test_stack import losses_of, trained_together

TASKS = {
    "regression": ["data=diabetes", "trainer.max_epochs=40"],
    "binary": ["data=breast_cancer", "trainer.max_epochs=20"],
    "multiclass": ["data=digits", "trainer.max_epochs=20"],
    "multilabel": ["data=digits_multilabel", "trainer.max_epochs=20"],
    "distributional": ["data=heteroscedastic", "trainer.max_epochs=40"],
    "count": ["data=counts", "trainer.max_epochs=20"],
}
CONSTANT = {"binary": 0.5, "multiclass": 0.1}
"""Balanced accuracy, or AUROC, of a constant prediction."""
OWN = {"balanced_mse": ["loss.sigma=0.3"]}  # its first noise scale wants a search: 1 is wide for a standardised target
RANKS = ("aucm", "auc_squared_hinge")
"""They order the samples, and leave open where the two classes part."""
CASES = [(task, loss) for task in TASKS for loss in losses_of(task)]


@pytest.fixture(scope="module")
def stacks(taught):
    made = {}

    def get(task, cell):
        if task not in made:
            common = [*TASKS[task], "model=mlp", "model.hidden=[64]", "optimizer.lr=0.003", "data.batch_size=64"]
            lines = [*common, "trainer.check_val_every_n_epoch=5"]
            data = TASKS[task][0].removeprefix("data=")
            cells = [cell(*lines, f"loss={name}", *OWN.get(name, []), *taught(name, data)) for name in losses_of(task)]
            made[task] = trained_together(cells)
        return made[task]

    return get


@pytest.mark.parametrize(("task", "loss"), CASES)
def test_every_loss_beats_a_constant_predictor(task, loss, cell, stacks):
    learner = stacks(task, cell).learners[losses_of(task).index(loss)]
    metrics, test = learner.last["metrics"], learner.last["test"]
    if task == "regression":
        errors = (test["target"] - test["target"].median()).abs()
        assert metrics["test/mae"] < 0.9 * errors.mean()
    elif task == "multilabel":
        prevalence = test["target"].double().mean().item()  # the average precision of a constant is the label's share
        assert metrics["test/map"] > prevalence + 0.5 * (1 - prevalence)
    elif task == "distributional":
        y = test["target"]
        of_all = (y[:, None] - y).abs().mean() / 2  # the CRPS of the distribution of all targets: E|X - X'| / 2
        assert metrics["test/crps"] < 0.6 * of_all
    elif task == "count":
        assert metrics["test/d2"] > 0.2
    else:
        metric = "auroc" if loss in RANKS else "balanced_accuracy"
        assert metrics[f"test/{metric}"] > CONSTANT[task] + 0.5 * (1 - CONSTANT[task])
