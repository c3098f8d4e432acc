"""Greedy reading and prefix beam search against all paths."""

from itertools import groupby

import torch

from lossbench.tasks.sequence.decoding import beam_search, collapse, greedy
from tests.support.losses import all_paths


def random_lines(count, frames, outputs, seed=0):
    logits = 1.5 * torch.randn(count, frames, outputs, generator=torch.Generator().manual_seed(seed))
    return logits.double().log_softmax(-1)


def known(labels):
    return [tuple(label for label in row if label >= 0) for row in labels.tolist()]


def test_a_wide_beam_search_finds_the_most_probable_line():
    log_posteriors = random_lines(60, frames=4, outputs=3)
    best = []
    for line in log_posteriors:
        likelihood = {labels: paths.logsumexp(0) for labels, paths in all_paths(line).items()}
        best.append(max(likelihood, key=likelihood.get))
    assert known(beam_search(log_posteriors, torch.full((60,), 4), width=40)) == best
    assert len({len(line) for line in best}) > 2 and any(len(line) > 1 and line[0] == line[1] for line in best)
    assert known(greedy(log_posteriors, torch.full((60,), 4))) != best


def test_the_most_probable_line_need_not_have_the_best_path():
    """Two frames of blank 0.6 and class 0.4: the best path is blank, 0.36; the class comes by three, 0.64."""
    log_posteriors = torch.tensor([[[0.4, 0.6], [0.4, 0.6]]]).log()
    assert known(greedy(log_posteriors, torch.tensor([2]))) == [()]
    assert known(beam_search(log_posteriors, torch.tensor([2]), width=2)) == [(0,)]


def test_the_best_path_is_collapsed_as_by_groupby():
    log_posteriors = random_lines(200, frames=8, outputs=3)
    paths = log_posteriors.argmax(-1).tolist()
    expected = [tuple(label for label, _ in groupby(path) if label != 2) for path in paths]
    assert known(greedy(log_posteriors, torch.full((200,), 8))) == expected


def test_each_line_is_read_up_to_its_end_as_if_it_were_alone():
    log_posteriors, frames = random_lines(40, frames=12, outputs=4, seed=1), torch.arange(40) % 12 + 1
    for read in (greedy, lambda posteriors, lengths: beam_search(posteriors, lengths, width=6)):
        together = known(read(log_posteriors, frames))
        alone = [
            known(read(log_posteriors[row : row + 1, :end], torch.tensor([end])))[0]
            for row, end in enumerate(frames.tolist())
        ]
        assert together == alone and max(map(len, together)) > 4


def test_certain_posteriors_are_read_as_they_are():
    path = torch.tensor([[3, 0, 0, 3, 0, 1, 2, 2, 3]])
    log_posteriors = torch.where(torch.nn.functional.one_hot(path, 4) > 0, 0.0, -torch.inf)
    assert known(beam_search(log_posteriors, torch.tensor([9]), width=5)) == [(0, 0, 1, 2)]


def test_a_blank_parts_equal_neighbours():
    assert known(collapse(torch.tensor([[1, 1, 2, 1], [1, 1, 1, 1], [2, 2, 2, 2]]), blank=2)) == [(1, 1), (1,), ()]
