import pytest

from lossbench.play.choice import chosen
from lossbench.play.page import page


@pytest.fixture(scope="session")
def whole_page() -> str:
    """The page with all losses."""
    return page(chosen())
