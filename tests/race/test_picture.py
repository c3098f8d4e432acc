"""The picture of a race has each loss in its own style."""

from types import SimpleNamespace

from lossbench.race.decide import Look, Race, Rules
from lossbench.race.picture import race_figure
from lossbench.tasks.loss_style import style_of


def test_each_panel_has_the_style_of_its_loss():
    looks = [
        Look(n, "mae", ("mse", "mae", "huber"), {"mse": (-0.3 / n, 0.1 / n), "huber": (-0.1, 0.2 / n)})
        for n in (3, 4, 5)
    ]
    found = Race(looks=looks, running=["mse", "mae", "huber"])
    contest = SimpleNamespace(contestants=dict.fromkeys(("mse", "mae", "huber")), rules=Rules(), metric="mae")
    panels = {axes.get_title().partition(":")[0]: axes for axes in race_figure(found, contest).axes if axes.get_title()}
    assert set(panels) == {"mse", "huber"}
    for loss, axes in panels.items():
        (line,) = [line for line in axes.lines if len(line.get_xdata()) == 3]
        assert (line.get_color(), line.get_marker()) == (style_of(loss).color, style_of(loss).marker)
