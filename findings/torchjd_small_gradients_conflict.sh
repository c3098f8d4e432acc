#!/usr/bin/env bash
# torchjd 0.18.0, torch 2.14.1: UPGrad and DualProj let a term grow, and CAGrad stands still, where gradients are small.
#
# Guess: UPGrad and DualProj return a vector along which no term grows, and, as CAGrad, scale with the gradients.
# Seen: where the squared norms of the gradients add up to less than 1e-4, as late in a training they do, UPGrad and
# DualProj return the plain mean, conflicts and all, and CAGrad returns 0. Where one gradient is 100 times shorter than
# another, its term grows along their vectors, nearly as fast as it can (cosine -.98): 1e-4 of the squared norms is added
# to each. IMTLG of [1, 0] and [-2, 0] is [-5, 0], longer than both, where equal components along both leave only 0.
# MGDA ends before it is at the shortest vector from three gradients on: 4 % longer in this one, up to 24 % in others.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 torch==2.14.1 'torchjd[full]==0.18.0'
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from torchjd.aggregation import IMTLG, MGDA, CAGrad, DualProj, UPGrad

METHODS = {"UPGrad": UPGrad(), "DualProj": DualProj(), "CAGrad": CAGrad(c=0.5)}
conflict = torch.tensor([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]])
small, unequal = 1e-4 * conflict, torch.tensor([[100.0, 0.0], [-1.0, 0.1]])


def cosines(gradients, vector):
    return [round(torch.cosine_similarity(row, vector, dim=0).item(), 3) for row in gradients]


found = {}
for name, method in METHODS.items():
    usual, of_small = method(conflict), method(small) / 1e-4
    found[name] = of_small, cosines(unequal, method(unequal))
    print(f"{name}: {usual.tolist()}, and of gradients times 1e-4 (scaled back) {of_small.tolist()}, with the cosines")
    print(f"  {cosines(conflict, of_small)} to them; to [100, 0] and [-1, .1] its vector has {found[name][1]}")
for name in ("UPGrad", "DualProj"):
    assert torch.allclose(found[name][0], conflict.mean(0)) and cosines(conflict, found[name][0])[0] < -0.2
    assert found[name][1][1] < -0.9
assert not found["CAGrad"][0].any()

opposed = IMTLG()(torch.tensor([[1.0, 0.0], [-2.0, 0.0]]))
print(f"IMTLG of [1, 0] and [-2, 0]: {opposed.tolist()}")
assert torch.allclose(opposed, torch.tensor([-5.0, 0.0]))

gradients = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
shares = torch.cartesian_prod(*[torch.linspace(0, 1, 201, dtype=torch.float64)] * 2)
hull = torch.cat([shares, 1 - shares.sum(1, keepdim=True)], 1)[shares.sum(1) <= 1] @ gradients
length, shortest = MGDA()(gradients).norm().item(), hull.norm(dim=1).min().item()
print(f"MGDA: {length:.4f} long; on a grid of the hull there is one of {shortest:.4f}")
assert length > 1.03 * shortest
PYTHON
