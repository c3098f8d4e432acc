"""What is measured of translations: as texts, as tokens, the long ones by themselves."""

import numpy as np
import pytest
import torch

from lossbench.tasks import task_named
from lossbench.tasks.by_sample import by_sample
from lossbench.tasks.text import errors, overlap
from lossbench.tasks.translation.evaluate import code_points, measure, measure_final
from lossbench.tasks.translation.sample import sample

TASK = task_named("translation")
PIECES = ["", "", "", "one ", "two ", "three ", "four ", "five "]


def made_up(rows=12, seed=0):
    """Translations some of which are right, too short, too long, or empty."""
    rng = np.random.default_rng(seed)
    target = rng.integers(3, 8, (rows, 6))
    target[np.arange(6) >= rng.integers(1, 7, rows)[:, None]] = -1
    hypothesis = np.pad(target, ((0, 0), (0, 1)), constant_values=-1)
    hypothesis[rows // 3 :, 1] = rng.integers(3, 8, rows - rows // 3)
    hypothesis[rows // 2, :] = -1
    hypothesis[-1] = 3
    tokens = (target >= 0).sum(1) + 1
    arrays = {
        "hypothesis": hypothesis, "target": target, "inputs": target.clip(0), "nll": rng.random(rows) * tokens,
        "right": rng.integers(0, tokens + 1), "tokens": tokens, "long": np.arange(rows) % 4 == 3,
        "index": np.arange(rows),
    }  # fmt: skip
    found = {name: torch.from_numpy(np.asarray(each)) for name, each in arrays.items()}
    return {**found, "pieces": code_points(PIECES)}


def written(predictions, name, part):
    rows = [row for row, keep in zip(predictions[name].tolist(), part.tolist(), strict=True) if keep]
    return ["".join(PIECES[token] for token in row if token >= 0).strip() for row in rows]


def test_metrics_are_those_of_the_texts_that_are_not_long():
    predictions = made_up()
    problem, long = sample(TASK, True)[1], predictions["long"]
    found = {**measure("test", predictions, problem), **measure_final("test", predictions, problem)}
    ours, true = (written(predictions, name, ~long) for name in ("hypothesis", "target"))
    assert found["bleu"] == pytest.approx(overlap.corpus_bleu(ours, true))
    assert found["wer"] == pytest.approx(errors.word_errors(ours, true).rate)
    assert found["exact_match"] == pytest.approx(np.mean([a == b for a, b in zip(ours, true, strict=True)]))
    assert found["sentence_bleu"] != pytest.approx(found["bleu"])
    nll, tokens = predictions["nll"][~long].sum(), predictions["tokens"][~long].sum()
    assert found["perplexity"] == pytest.approx(float((nll / tokens).exp()))
    ours, true = (written(predictions, name, long) for name in ("hypothesis", "target"))
    assert found["long_bleu"] == pytest.approx(overlap.corpus_bleu(ours, true))
    assert found["long_exact_match"] == pytest.approx(np.mean([a == b for a, b in zip(ours, true, strict=True)]))


def test_without_long_texts_they_have_no_metrics_and_alone_they_have_no_others():
    predictions, problem = sample(TASK, True)
    none = measure_final("val", {**predictions, "long": torch.zeros(8, dtype=torch.bool)}, problem)
    assert "bleu" in none and not any(name.startswith("long_") for name in none)
    alone = {**predictions, "long": torch.ones(8, dtype=torch.bool)}
    assert set(measure_final("val", alone, problem)) == {"long_bleu", "long_exact_match"}
    assert measure("val", alone, problem) == {}


def test_every_metric_in_terms_of_texts_is_itself():
    """With each text once; and of texts drawn again, which is measured anew."""
    predictions, problem = made_up(), sample(TASK, True)[1]
    of_texts = by_sample(TASK, {name: each.numpy() for name, each in predictions.items()})
    assert set(of_texts) == set(TASK.named)
    rows = torch.from_numpy(np.random.default_rng(1).integers(0, 12, 12))
    again = {name: each if name == "pieces" else each[rows] for name, each in predictions.items()}
    for predicted, weights in ((predictions, np.ones(12)), (again, np.bincount(rows, minlength=12))):
        measured = {**measure("test", predicted, problem), **measure_final("test", predicted, problem)}
        for name, each in of_texts.items():
            exact = name in ("bleu", "chrf", "long_bleu", "perplexity")
            if exact or weights.max() == 1:  # a ratio has pseudo-values, to first order
                assert each.of(weights[None].astype(float))[0] == pytest.approx(measured[name], abs=1e-9), name
