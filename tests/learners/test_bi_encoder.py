"""The bi-encoder: which passages a step compares, what it measures, what it refuses, and that it learns."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lossbench.catalogue.binding import load_loss
from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.comparisons import comparisons, read_outputs
from lossbench.compare.numbers.options import Options
from lossbench.data.loader import Batch
from lossbench.errors import ConfigError
from lossbench.learners.bi_encoder import BiEncoder
from lossbench.models.ngram_encoder import NgramEncoder, SentenceVectors, TransformerEncoder
from lossbench.running.run import run
from lossbench.tasks import task_named
from lossbench.tasks.problem import made_up_problem
from lossbench.tasks.retrieval.report import PICTURES

PASSAGES, VOCABULARY = 30, 50
SMALL = ["data=help_topics", "data.max_test=60"]


def shared(**more):
    """Make up passages of random tokens, and texts that are their numbers."""
    stream = torch.Generator().manual_seed(0)
    return {
        "passages": torch.randint(1, VOCABULARY, (PASSAGES, 6), generator=stream),
        "bm25_train": torch.rand(8, PASSAGES, generator=stream),
        "bm25_test": torch.rand(5, PASSAGES, generator=stream),
        "texts": [str(number) for number in range(PASSAGES)],
        "queries_train": [str(number) for number in range(8)],
        "queries_test": [str(number) for number in range(5)],
        "vocabulary": VOCABULARY,
        **more,
    }


def learner(loss="info_nce", network=None, hard_negatives=0, known=None, seed=0):
    torch.manual_seed(0)
    return BiEncoder(
        hard_negatives=hard_negatives,
        network=network or NgramEncoder([6], vocabulary=VOCABULARY, dim=4),
        loss=load_loss(loss),
        optimizer=lambda groups: torch.optim.SGD(groups, lr=0.1),
        scheduler=torch.optim.lr_scheduler.ConstantLR,
        problem=made_up_problem(task_named("retrieval"), shared=shared() if known is None else known),
        max_epochs=2,
        seed=seed,
    )


def batch_of(rows=8):
    """Take queries of which the first two share an answer, and the third has two of the highest grade."""
    target = torch.stack([torch.arange(8) * 2, torch.full((8,), -1)], 1)
    grades = torch.stack([torch.full((8,), 2), torch.zeros(8, dtype=torch.int64)], 1)
    target[0, 1], grades[0, 1] = target[1, 0], 1
    target[2, 1], grades[2, 1] = 25, 2
    inputs = torch.randint(1, VOCABULARY, (8, 6), generator=torch.Generator().manual_seed(1))
    whole = Batch(inputs, target, target, torch.arange(8), {"grades": grades})
    return whole.select(torch.arange(rows))


# --- A step -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["info_nce", "score_distillation", "lambda_rank"])
def test_a_step_compares_queries_with_the_passages_of_the_batch(loss):
    """Scores, grades and BM25's scores in loops; in float64, as info_nce divides cosines by a small temperature."""
    made, batch = learner(loss).double(), batch_of()
    chosen = made.passages_of(batch).tolist()
    queries = F.normalize(made.network(batch.inputs), dim=1)
    scores = torch.stack(
        [
            torch.stack([query @ F.normalize(made.network(made.passages[[number]])[0], dim=0) for number in chosen])
            for query in queries
        ]
    )
    grades = torch.zeros(len(queries), len(chosen), dtype=torch.int64)
    for row in range(len(queries)):
        for number, grade in zip(batch.target[row].tolist(), batch.extras["grades"][row].tolist(), strict=True):
            if number in chosen:
                grades[row, chosen.index(number)] = grade
    assert grades[0].tolist().count(0) == len(chosen) - 2  # what answers the next query answers it, too
    teacher = {"teacher_scores": made.problem.shared["bm25_train"][:, chosen]} if "distil" in loss else {}
    values, expected = made.per_sample_loss(batch), load_loss(loss)(scores, grades, **teacher)
    torch.testing.assert_close(values, expected)
    for ours, theirs in zip(
        torch.autograd.grad(values.mean(), list(made.network.parameters())),
        torch.autograd.grad(expected.mean(), list(made.network.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_cosines_are_not_rounded_to_half_precision():
    made, batch = learner(), batch_of()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        vectors = made.embed(batch.inputs)
        scores = made.compared(vectors, vectors)
        values = made.per_sample_loss(batch)
    assert scores.dtype == values.dtype == torch.float32
    torch.testing.assert_close(scores, vectors @ vectors.T)


def test_each_query_brings_one_passage_of_its_highest_grade_drawn_by_the_seed():
    batch = batch_of()
    drawn = [learner(seed=seed).passages_of(batch).tolist() for seed in range(12)]
    assert all(set(each) - {4, 25} == {0, 2, 6, 8, 10, 12, 14} and len(each) == 8 for each in drawn)
    assert {4 in each for each in drawn} == {True, False}
    assert drawn[0] == learner(seed=0).passages_of(batch).tolist()


def test_hard_negatives_are_the_first_of_bm25_that_do_not_answer():
    scores = torch.zeros(8, PASSAGES)
    scores[:, [0, 2, 20]] = torch.tensor([3.0, 2.0, 1.0])  # 0 answers the first query, 2 the first two
    made = learner(hard_negatives=1, known=shared(bm25_train=scores))
    with_one = set(made.passages_of(batch_of(2)).tolist())
    assert with_one == {0, 2, 20}  # 20 for the first query, 0 for the second
    more = set(learner(hard_negatives=2, known=shared(bm25_train=scores)).passages_of(batch_of(1)).tolist())
    assert more == {0, 20, 1}  # of equal scores the lower number


# --- An evaluation ------------------------------------------------------------------------------------------------


def test_an_evaluation_keeps_the_order_of_all_passages_and_bm25s_of_the_same_queries(monkeypatch):
    made, batch = learner(known=shared(questions=2)), batch_of(5)
    monkeypatch.setattr(made, "_counts", lambda: True)  # what else a trainer says
    kept = {}
    with torch.no_grad():
        made.on_validation_epoch_start()
        for number, part in enumerate(made.problem.evaluated):
            made.validation_step(batch, 0, dataloader_idx=number)
            kept[part] = made._collected[part][0]
        scores = made.embed(batch.inputs) @ made.embed(made.passages).T
    for part, rows in (("val", "bm25_train"), ("test", "bm25_test")):
        np.testing.assert_array_equal(kept[part]["ranked"], (-scores).argsort(dim=1, stable=True))
        by_bm25 = made.problem.shared[rows][batch.index]
        np.testing.assert_array_equal(kept[part]["ranked_by_bm25"], (-by_bm25).argsort(dim=1, stable=True))
        assert kept[part]["passages"].tolist() == [PASSAGES] * 5
    assert kept["test"]["typed"].tolist() == [True, True, False, False, False] and "typed" not in kept["val"]


def test_what_the_data_bring_is_in_no_checkpoint():
    assert not [name for name in learner().state_dict() if "passages" in name]


# --- Networks -----------------------------------------------------------------------------------------------------


def test_a_bag_of_tokens_begins_with_rare_ones_longer():
    documents = torch.tensor([[1, 2, 2], [1, 3, 0], [1, 0, 0], [3, 1, 0]])  # 1 is in all, 2 in one, 3 in two
    network = NgramEncoder([3], vocabulary=5, dim=8)
    before = network.tokens.weight.detach().clone()
    network.weigh_by_rarity(documents)
    rarity = torch.tensor([math.log(5 / (count + 0.5)) for count in (4, 1, 2)])
    grown = (network.tokens.weight.detach() / before)[1:4].mean(1)
    torch.testing.assert_close(grown, rarity / rarity.mean())
    assert network.tokens.weight.isfinite().all() and network.tokens.weight[0].abs().max() == 0
    alike = NgramEncoder([3], vocabulary=5, dim=8, rarity=False)
    before = alike.tokens.weight.detach().clone()
    alike.weigh_by_rarity(documents)
    assert alike.tokens.weight.equal(before)


def test_a_learner_gives_its_network_the_passages_before_training():
    network = NgramEncoder([6], vocabulary=VOCABULARY, dim=4)
    expected = NgramEncoder([6], vocabulary=VOCABULARY, dim=4)
    expected.load_state_dict(network.state_dict())
    expected.weigh_by_rarity(learner(network=network).passages)
    torch.testing.assert_close(network.tokens.weight, expected.tokens.weight)


@pytest.mark.parametrize("network", [NgramEncoder, TransformerEncoder])
def test_padding_changes_no_vector_and_an_empty_text_has_one(network):
    torch.manual_seed(0)
    made = network([6], vocabulary=VOCABULARY, dim=8).eval()
    short = torch.tensor([[3, 7, 9], [5, 0, 0], [0, 0, 0]])
    long = torch.cat([short, torch.zeros(3, 4, dtype=torch.int64)], 1)
    torch.testing.assert_close(made(short), made(long))
    torch.testing.assert_close(made(short)[1:2], made(torch.tensor([[5]])), rtol=1e-4, atol=1e-5)
    assert made(short).isfinite().all()
    made(short).sum().backward()
    assert made.tokens.weight.grad[0].abs().sum() == 0


def test_a_transformer_sees_the_order_and_a_bag_does_not():
    torch.manual_seed(0)
    there, back = torch.tensor([[3, 7, 9]]), torch.tensor([[9, 7, 3]])
    bag, reader = NgramEncoder([3], vocabulary=50, dim=8), TransformerEncoder([3], vocabulary=50, dim=8)
    torch.testing.assert_close(bag(there), bag(back))
    assert not torch.allclose(reader(there), reader(back), atol=1e-3)


def test_the_networks_of_the_config_have_at_most_the_parameters_that_they_say():
    for network, millions in ((NgramEncoder([128]), 1.1), (TransformerEncoder([128]), 0.6)):
        assert sum(each.numel() for each in network.parameters()) == pytest.approx(millions * 1e6, rel=0.06)


def sentence_vectors(texts):
    """Stand for a frozen sentence model: sines of the number that a text is."""
    return np.sin(np.array([[float(text) * k for k in range(1, 6)] for text in texts]))


def test_vectors_of_a_function_of_the_users_own_are_mapped():
    name = f"{__name__}.sentence_vectors"
    made = learner(network=SentenceVectors([6], embedder=name, width=5, dim=7))
    torch.testing.assert_close(made.passages, torch.tensor(sentence_vectors(range(PASSAGES))).float())
    cosines = made.embed(made.passages) @ made.embed(made.passages).T
    own = F.normalize(made.passages, dim=1)
    torch.testing.assert_close(cosines, own @ own.T)  # the map begins as orthogonal directions
    made.per_sample_loss(batch_of()).mean().backward()
    assert made.network.output.weight.grad.abs().sum() > 0 and len(list(made.network.parameters())) == 1
    with pytest.raises(ConfigError, match=r"returned shape \(30, 5\) for 30 texts; it must be \(30, 9\)"):
        learner(network=SentenceVectors([6], embedder=name, width=9))


# --- What is refused ----------------------------------------------------------------------------------------------


def without(*names):
    return {name: each for name, each in shared().items() if name not in names}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"known": {}}, "Use data=help_topics, or data=pairs"),
        ({"known": without("bm25_train"), "loss": "score_distillation"}, "loss score_distillation needs the scores"),
        ({"known": without("bm25_train"), "hard_negatives": 3}, "learner.hard_negatives=3 needs the scores of BM25"),
        ({"hard_negatives": 30}, "learner.hard_negatives=30: the data have 30 passages, .* Use 29 at most"),
        ({"known": shared(vocabulary=90)}, "Use learner.network.vocabulary=90"),
    ],
)
def test_what_the_data_lack_is_told(given, said):
    with pytest.raises(ConfigError, match=said):
        learner(**given)


def test_a_network_that_gives_no_vectors_is_refused():
    made = learner(network=nn.Embedding(VOCABULARY, 3))
    with pytest.raises(ConfigError, match=r"learner.network gives outputs of shape \(8, 6, 3\) for 8 texts"):
        made.per_sample_loss(batch_of())


def test_a_width_that_the_heads_do_not_divide_is_refused():
    with pytest.raises(ConfigError, match=r"dim=10 must be even and a multiple of learner.network.heads=4. Use dim=8"):
        TransformerEncoder([6], dim=10)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("loss=info_nce learner.hard_negatives=-1", "learner.hard_negatives=-1"),
        ("loss=score_triplet loss.negatives=easiest", "loss.negatives=easiest is not known. Nearest: hardest"),
        ("loss=cross_entropy", "cross_entropy"),
        (
            "loss=info_nce learner.network.vocabulary=99",
            "learner.network.vocabulary=99 is below the 8192 numbers of tokens",
        ),
    ],
)
@pytest.mark.usefixtures("undrawn")
def test_what_does_not_fit_is_refused_in_words(cell, line, said):
    with pytest.raises(ConfigError, match=said):
        run(cell(*SMALL, *line.split()))


# --- A comparison -------------------------------------------------------------------------------------------------


def test_two_losses_learn_more_than_a_random_order_and_are_drawn_beside_bm25(cell, tmp_path):
    for loss in ("info_nce", "approx_ndcg"):
        entry = run(cell(*SMALL, f"loss={loss}", "optimizer.lr=0.003", "trainer.max_epochs=2", output_dir=tmp_path))
        last = entry["metrics"]["last"]
        assert last["test/ndcg_at_10"] > 5 * last["test/random_ndcg_at_10"]
        assert 0.2 < last["test/bm25_ndcg_at_10"] < 0.7 and last["test/random_ndcg_at_10"] < 0.01
    found = comparisons(read_outputs(tmp_path))
    analysis = analyse(next(iter(found)), Options())
    pictures = [picture for draw in PICTURES for picture in draw(analysis)]
    assert [picture.name for picture in pictures] == ["recall", "against_bm25"]
    for picture in pictures:
        picture.figure.savefig(tmp_path / f"{picture.name}.png")
        assert (tmp_path / f"{picture.name}.png").stat().st_size > 5000
