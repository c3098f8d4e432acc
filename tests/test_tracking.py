import logging

from lossbench.checks import ALLOWED
from lossbench.compare.selection import SELECTIONS
from lossbench.tracking.sweep import Parent, close_parents


class Gone:
    """A client of a store that has gone away."""

    def __getattr__(self, name):
        raise ConnectionError("no route to the store")


def test_a_store_that_goes_away_costs_a_warning_at_the_end_of_a_sweep(caplog):
    with caplog.at_level(logging.WARNING):
        close_parents({"digits_imb": Parent([], Gone(), "1", "run")}, "finished", {})
    assert "no route to the store" in caplog.text


def test_what_is_checked_is_what_compare_can_do():
    assert ALLOWED["compare.select"] == sorted(SELECTIONS)
