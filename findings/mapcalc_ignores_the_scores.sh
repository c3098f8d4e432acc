#!/usr/bin/env bash
# mapcalc 0.2.2: mean average precision doesn't depend on the scores, but on the order in which detections are listed.
#
# Guess: calculate_map sorts the detections of a class by their scores, which it takes and counts, as VOC, COCO and the project
# that it adapts do: two objects found with scores .9 and .8 and two false alarms at .2 and .1 have average precision 1 in any
# order.
# Seen: 1 if they are listed so, .5 from the lowest score on, as many detectors or files list them, and 1 again if the scores
# themselves are turned round. The scores are stored and never read, so that the precision at each recall is that of the order
# of the list: the same model has any value between, and a model whose confidence is worthless is not found out.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.3.5 mapcalc==0.2.2
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
from mapcalc import calculate_map

truth = {"boxes": [[0, 0, 10, 10], [20, 20, 30, 30]], "labels": [1, 1]}
boxes = [[0, 0, 10, 10], [20, 20, 30, 30], [50, 50, 60, 60], [70, 70, 80, 80]]
scores = [0.9, 0.8, 0.2, 0.1]


def precision(order, scored):
    found = {"boxes": [boxes[i] for i in order], "labels": [1] * len(order), "scores": [scored[i] for i in order]}
    return calculate_map(truth, found, iou_threshold=0.5)


down, up = [0, 1, 2, 3], [3, 2, 1, 0]
values = {
    "right ones score .9 and .8, listed first": precision(down, scores),
    "right ones score .9 and .8, listed last": precision(up, scores),
    "right ones score .1 and .2, listed first": precision(down, scores[::-1]),
}
for name, value in values.items():
    print(f"{name}: mean average precision {value:.2f}")
assert list(values.values()) == [1.0, 0.5, 1.0]
PYTHON
