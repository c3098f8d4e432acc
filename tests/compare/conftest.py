import pytest


@pytest.fixture
def without_pictures(monkeypatch):
    """Write reports without pictures: most of their time, where only what is written is asked for."""
    monkeypatch.setattr("lossbench.compare.report.html._draw", lambda *_: ([], []))
    monkeypatch.setattr("lossbench.compare.report.html.loss_curves", lambda *_: (None, ""))
