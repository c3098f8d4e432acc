"""Orders of passages against ir-measures, ranx, scikit-learn and torchmetrics, ties too; BM25 and random rows."""

import itertools
import shutil
from math import comb

import numpy as np
import pytest
import torch
from sklearn.metrics import ndcg_score
from torchmetrics.functional.retrieval import retrieval_average_precision, retrieval_reciprocal_rank

from lossbench.tasks import task_named
from lossbench.tasks.by_sample import by_sample
from lossbench.tasks.retrieval.evaluate import measured
from lossbench.tasks.retrieval.metrics import grades_of, of_order, of_random_order, ranked
from lossbench.tasks.retrieval.sample import sample

QUERIES, PASSAGES = 40, 130
TASK = task_named("retrieval")


def made_up(ties: bool, passages: int = PASSAGES):
    """Draw scores, of which many are equal if they are to be, and up to five answers of grades 1 to 3 to a query."""
    stream = torch.Generator().manual_seed(3)
    scores = torch.rand(QUERIES, passages, generator=stream)
    if ties:
        scores = (scores * 6).floor() / 8
    target = torch.stack([torch.randperm(passages, generator=stream)[:5] for _ in range(QUERIES)])
    grades = torch.randint(1, 4, (QUERIES, 5), generator=stream)
    end = torch.arange(5) > torch.arange(QUERIES)[:, None] % 5
    return scores, target.masked_fill(end, -1), grades.masked_fill(end, 0)


def values_of(scores, target, grades):
    return of_order(grades_of(ranked(scores), target, grades), grades)


def relevance(target, grades):
    """Return the grades of each query by the names of passages."""
    return {
        f"{row}": {f"d{number:04d}": grade for number, grade in zip(*each, strict=True) if grade}
        for row, each in enumerate(zip(target.tolist(), grades.tolist(), strict=True))
    }


def run_by_rank(scores):
    """Return an order for other tools as scores that are all different: what is equal here is ours to order."""
    numbers = ranked(scores)
    return {
        f"{row}": {f"d{number:04d}": float(len(each) - place) for place, number in enumerate(each)}
        for row, each in enumerate(numbers.tolist())
    }


# --- The order ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("depth", [1, 7, 100, 500])
def test_the_order_is_that_of_a_whole_sort_by_score_and_then_number(ties, depth):
    scores, _, _ = made_up(ties)
    whole = np.lexsort((np.broadcast_to(np.arange(PASSAGES), scores.shape), -scores.numpy()), axis=1)
    np.testing.assert_array_equal(ranked(scores, depth).numpy(), whole[:, :depth])


def test_what_is_no_number_comes_last_in_the_order_of_the_passages():
    nan, inf = float("nan"), float("inf")
    assert ranked(torch.tensor([[nan, 0.1, -inf, inf], [nan, nan, nan, nan]])).tolist() == [[3, 1, 0, 2], [0, 1, 2, 3]]


def test_grades_are_those_of_the_list_of_each_query():
    numbers = torch.tensor([[4, 0, 2], [4, 0, 2]])
    assert grades_of(numbers, torch.tensor([[2, 4], [0, -1]]), torch.tensor([[1, 3], [2, 0]])).tolist() == [
        [3, 0, 1],
        [0, 2, 0],
    ]


# --- Other tools --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", [False, True])
def test_the_metrics_are_those_of_ir_measures(ties):
    ir_measures = pytest.importorskip("ir_measures")
    names = {
        **({"nDCG(dcg='exp-log2')@10": "ndcg_at_10"} if shutil.which("perl") else {}),
        "nDCG@10": "ndcg_linear_at_10",
        "RR@100": "mrr",
        "AP@10": "map_at_10",
        "Rprec": "r_precision",
        **{f"R@{k}": f"recall_at_{k}" for k in (1, 5, 10, 100)},
        **{f"Success@{k}": f"hit_rate_at_{k}" for k in (1, 10)},
    }
    scores, target, grades = made_up(ties)
    ours = values_of(scores, target, grades)
    found = ir_measures.iter_calc(
        [ir_measures.parse_measure(name) for name in names], relevance(target, grades), run_by_rank(scores)
    )
    theirs = {name: np.zeros(QUERIES) for name in names.values()}
    by_measure = {ir_measures.parse_measure(name): ours_named for name, ours_named in names.items()}
    for each in found:
        theirs[by_measure[each.measure]][int(each.query_id)] = each.value
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name].numpy(), values, atol=6e-6, err_msg=name)  # gdeval writes 5 digits


@pytest.mark.parametrize("ties", [False, True])
def test_the_metrics_are_those_of_ranx(ties, monkeypatch):
    numba = pytest.importorskip("numba")
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)  # to compile its metrics takes a minute
    ranx = pytest.importorskip("ranx")
    names = {
        "ndcg_burges@10": "ndcg_at_10",
        "ndcg@10": "ndcg_linear_at_10",
        "mrr@100": "mrr",
        "map@10": "map_at_10",
        "r-precision": "r_precision",
        **{f"recall@{k}": f"recall_at_{k}" for k in (1, 5, 10, 100)},
        **{f"hit_rate@{k}": f"hit_rate_at_{k}" for k in (1, 10)},
    }
    scores, target, grades = made_up(ties)
    ours = values_of(scores, target, grades)
    qrels, run = ranx.Qrels(relevance(target, grades)), ranx.Run(run_by_rank(scores))
    ranx.evaluate(qrels, run, list(names), return_mean=False)
    for theirs, name in names.items():
        values = np.array([run.scores[theirs][f"{row}"] for row in range(QUERIES)])
        np.testing.assert_allclose(ours[name].numpy(), values, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(("measure", "theirs"), [("RR", [1 / 3, 1 / 2, 1.0]), ("RR@100", [1.0, 1 / 2, 1 / 3])])
def test_ir_measures_orders_equal_scores_by_names_either_way(measure, theirs):
    """Here the lower number comes first; there the larger name, as in trec_eval, or the smaller one with a cut."""
    ir_measures = pytest.importorskip("ir_measures")
    parsed, run = ir_measures.parse_measure(measure), {"0": {f"d{number:04d}": 0.5 for number in range(3)}}
    for answer, expected in enumerate(theirs):
        target, grades = torch.tensor([[answer]]), torch.tensor([[1]])
        found = ir_measures.calc_aggregate([parsed], relevance(target, grades), run)[parsed]
        assert found == pytest.approx(expected)
        assert values_of(torch.full((1, 3), 0.5), target, grades)["mrr"].item() == pytest.approx(1 / (1 + answer))


def test_context_precision_is_torchmetrics_average_precision_of_the_first_ten():
    """Which divides by what is found there; `map_at_10` divides by all that is relevant."""
    scores, target, grades = made_up(False)
    found = grades_of(ranked(scores), target, grades)
    ours = of_order(found, grades)
    for row in range(QUERIES):
        places = 1 / torch.arange(1, found.shape[1] + 1)
        theirs = retrieval_average_precision(places, found[row] > 0, top_k=10)
        assert ours["context_precision_at_10"][row].item() == pytest.approx(float(theirs), abs=1e-6)
        first = retrieval_reciprocal_rank(places, found[row] > 0)
        assert ours["mrr"][row].item() == pytest.approx(float(first), abs=1e-6)


def test_the_reciprocal_rank_of_torchmetrics_takes_scores_below_0_as_not_found():
    """As cosines can be; here an order is all that counts."""
    scores, target = torch.tensor([[-0.1, -0.2]]), torch.tensor([[0]])
    assert retrieval_reciprocal_rank(scores[0], torch.tensor([True, False])) == 0
    assert values_of(scores, target, torch.tensor([[1]]))["mrr"].item() == 1


def test_ndcg_is_scikit_learns_of_both_gains():
    scores, target, grades = made_up(False)
    ours = values_of(scores, target, grades)
    whole = torch.zeros(QUERIES, PASSAGES + 1).scatter(1, target % (PASSAGES + 1), grades.float())[:, :-1].double()
    for name, gains in (("ndcg_linear_at_10", whole), ("ndcg_at_10", 2**whole - 1)):
        theirs = [ndcg_score(gains[row : row + 1], scores[row : row + 1], k=10) for row in range(QUERIES)]
        np.testing.assert_allclose(ours[name].numpy(), theirs, atol=1e-9)


def test_fewer_passages_than_are_kept_and_queries_without_an_answer_have_values():
    scores, target, grades = made_up(False, passages=6)
    target[0], grades[0] = -1, 0
    values = values_of(scores, target, grades)
    assert all(each.isfinite().all() and each[0] == 0 for each in values.values())
    assert (values["recall_at_10"][1:] == 1).all() and (values["recall_at_100"][1:] == 1).all()


# --- A random order -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grades", [[1], [2, 1], [3, 1, 1], [0]])
@pytest.mark.parametrize("passages", [4, 7])
def test_a_random_order_has_the_mean_over_all_orders(grades, passages):
    graded = torch.tensor(grades)
    orders = torch.tensor(list(itertools.permutations(range(passages))))
    every = grades_of(orders, torch.arange(len(grades)).expand(len(orders), -1), graded.expand(len(orders), -1))
    means = {name: each.mean() for name, each in of_order(every, graded.expand(len(orders), -1)).items()}
    expected = of_random_order(graded[None], passages)
    assert set(means) == set(expected)
    for name, value in means.items():
        torch.testing.assert_close(expected[name][0], value, msg=f"{name}: {expected[name][0]} instead of {value}")


def test_a_random_order_of_more_passages_than_ten_has_the_mean_of_drawn_orders():
    grades = torch.tensor([[2, 1, 1, 1]])
    stream = torch.Generator().manual_seed(0)
    orders = torch.rand(40_000, 30, generator=stream).argsort(1)
    found = grades_of(orders, torch.arange(4).expand(len(orders), -1), grades.expand(len(orders), -1))
    expected = of_random_order(grades, 30)
    for name, each in of_order(found, grades.expand(len(orders), -1)).items():
        assert abs(each.mean() - expected[name][0]) < 5 * each.std() / len(orders) ** 0.5 + 1e-12, name
    assert expected["hit_rate_at_10"].item() == pytest.approx(1 - comb(26, 10) / comb(30, 10), rel=1e-12)


# --- The task -----------------------------------------------------------------------------------------------------


def test_each_metric_is_the_mean_of_the_values_of_the_queries():
    predictions, problem = sample(TASK, True)
    found = TASK.evaluate.measure("test", predictions, problem)
    means = by_sample(TASK, {name: each.numpy() for name, each in predictions.items()})
    assert set(means) == set(found) == set(TASK.named)
    for name, value in found.items():
        assert means[name].values.mean() == pytest.approx(value), name
        assert len(means[name].values) == len(predictions["index"])


def test_bm25_and_a_random_order_stand_beside_each_metric_and_sort_nothing():
    found = [name for name in TASK.named if not name.startswith(("bm25_", "random_"))]
    for prefix, names in (("bm25_", found), ("random_", [name for name in found if not name.startswith("typed_")])):
        assert {name.removeprefix(prefix) for name in TASK.named if name.startswith(prefix)} == set(names)
        assert all(TASK.named[f"{prefix}{name}"].better == "neither" for name in names)


def test_typed_questions_are_measured_by_themselves_where_there_are_some():
    predictions, problem = sample(TASK, True)
    predictions["ndcg_at_10"] = torch.arange(8.0) / 8
    assert TASK.evaluate.measure("test", predictions, problem)["typed_ndcg_at_10"] == pytest.approx((0 + 1 + 2) / 24)
    predictions["typed"] = torch.zeros(8, dtype=torch.bool)
    assert not [name for name in TASK.evaluate.measure("val", predictions, problem) if "typed" in name]


def test_without_bm25_its_metrics_are_left_out():
    _, target, grades = made_up(False)
    kept = {"ranked": ranked(made_up(False)[0]), "target": target, "grades": grades}
    predictions = measured({**kept, "passages": torch.full((QUERIES,), PASSAGES), "index": torch.arange(QUERIES)})
    assert not [name for name in predictions if "bm25" in name] and "random_mrr" in predictions


def test_a_thousand_queries_among_ten_thousand_passages_take_no_loop_over_queries(monkeypatch):
    """What is called does not grow with the number of queries."""
    calls = []
    topk = torch.Tensor.topk
    monkeypatch.setattr(torch.Tensor, "topk", lambda *given, **named: calls.append(1) or topk(*given, **named))
    stream = torch.Generator().manual_seed(0)
    scores = torch.rand(1000, 10_000, generator=stream)
    target = torch.randint(10_000, (1000, 2), generator=stream)
    values = values_of(scores, target, torch.ones_like(target))
    assert len(calls) == 1 and abs(values["recall_at_100"].mean() - 0.01) < 0.01
