import pytest

from tests.search.analysis.comparison.comparing import Studies


@pytest.fixture
def studies(tmp_path) -> Studies:
    return Studies(tmp_path / "mlruns")
