import pytest


@pytest.fixture
def dispatch() -> str:
    """One way to serve: how the service does it is tested elsewhere."""
    return "batch"
