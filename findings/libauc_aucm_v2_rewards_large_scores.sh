#!/usr/bin/env bash
# libauc 2.0.1, torch 2.14.1: AUCMLoss of version "v2", the recommended one, falls without end as all scores grow.
#
# Guess: an AUC loss depends on differences of scores only, as the formula in the documentation of AUCMLoss does: 1 more for
# all scores (and for a and b, their means) changes nothing.
# Seen: it lowers the loss by 2 alpha times the share of positives. A bracket is misplaced: mean(f * neg - mean(f * pos)) is
# taken over the whole batch rather than mean(f * neg) - mean(f * pos). On scores without a sigmoid, as in the example of its
# documentation, the scores grow, the loss goes below zero and on, and AUC is lost: .67 to .86 after 2000 steps on balanced
# batches where the formula, and "v1", give .88. With a sigmoid the growth ends at 1 and AUC is kept, but the negatives have
# .57 on average rather than .22.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 scipy==1.16.3 scikit-learn==1.7.2 pandas==2.3.3 \
    tqdm==4.67.1 torch==2.14.1
"$folder/venv/bin/python" -m pip install --quiet --no-deps libauc==2.0.1
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from libauc.losses import AUCMLoss
from libauc.optimizers import PESG
from sklearn.metrics import roc_auc_score


class Formula(AUCMLoss):
    def forward(self, scores, target):
        positive, negative = scores[target == 1], scores[target == 0]
        spread = (positive - self.a).square().mean() + (negative - self.b).square().mean()
        return spread + 2 * self.alpha * (self.margin + negative.mean() - positive.mean()) - self.alpha**2


def batch(size):
    target = (torch.arange(size) % 2).float().view(-1, 1)
    inputs = torch.randn(size, 10)
    inputs[:, :3] += target
    return inputs, target


def shifted(kind, by):
    torch.manual_seed(0)
    loss, scores = kind(version="v2", device="cpu"), torch.randn(64, 1)
    with torch.no_grad():
        loss.a.fill_(0.5 + by), loss.b.fill_(by - 0.5), loss.alpha.fill_(1)
        return float(loss(scores + by, batch(64)[1]))


def trained(kind, version, seed, *last):
    torch.manual_seed(seed)
    network = torch.nn.Sequential(torch.nn.Linear(10, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1), *last)
    loss = kind(version=version, device="cpu")
    settings = dict(lr=0.05, momentum=0.0, weight_decay=0.0, epoch_decay=0.0, device="cpu", verbose=False)
    optimizer = PESG(network.parameters(), loss_fn=loss, **settings)
    for _ in range(2000):
        inputs, target = batch(64)
        value = loss(network(inputs), target)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    inputs, target = batch(4000)
    with torch.no_grad():
        scores = network(inputs)
    auc, negative = roc_auc_score(target.numpy(), scores.numpy()), float(scores[target == 0].mean())
    print(f"  seed {seed}: AUC {auc:.3f}, negatives have {negative:.2f} on average, last loss {float(value):.2f}")
    return auc, negative, float(value)


torch.set_num_threads(1)
losses = {kind.__name__: [shifted(kind, by) for by in (0, 1, 10)] for kind in (Formula, AUCMLoss)}
for name, values in losses.items():
    print(name, "where 0, 1, 10 are added to the scores:", [round(value, 4) for value in values])
found = {}
for kind, version in ((Formula, "v2"), (AUCMLoss, "v1"), (AUCMLoss, "v2")):
    print(f"{kind.__name__} {version}, scores without a sigmoid")
    found[kind.__name__, version] = [trained(kind, version, seed) for seed in range(3)]
print("with a sigmoid, Formula and then AUCMLoss v2")
bounded, larger = (trained(kind, "v2", 0, torch.nn.Sigmoid()) for kind in (Formula, AUCMLoss))
assert max(losses["Formula"]) - min(losses["Formula"]) < 1e-3
assert abs(losses["AUCMLoss"][0] - 1 - losses["AUCMLoss"][1]) < 1e-3 and losses["AUCMLoss"][2] < -5
assert all(auc > 0.87 and value > 0 for name in (("Formula", "v2"), ("AUCMLoss", "v1")) for auc, _, value in found[name])
assert all(negative > 5 and value < -2 for _, negative, value in found["AUCMLoss", "v2"])
assert min(auc for auc, _, _ in found["AUCMLoss", "v2"]) < 0.8
assert bounded[1] < 0.35 and larger[1] > 0.45 and larger[0] > 0.87
PYTHON
