"""A browser at MLflow's pages; skipped only where no browser is installed."""

from collections.abc import Iterator

import pytest

from tests.browser.home import make_home
from tests.browser.serving import Links, served
from tests.browser.visitor import Visitor, find_browser, visiting


@pytest.fixture(scope="session")
def links(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Links]:
    """The links that `ui` prints of a home with two studies, by study."""
    home = tmp_path_factory.mktemp("user") / "mlruns"
    make_home(home)
    with served(home) as printed:
        yield printed


# For one module at a time: two browsers cannot be driven at once from one process.
@pytest.fixture(scope="module")
def somebody(browser: str) -> Iterator[Visitor]:
    """A visitor whose window is so wide that the table has all its columns on screen."""
    with visiting(browser, width=2600, height=1300) as visitor:
        yield visitor


@pytest.fixture(scope="session")
def browser() -> str:
    found = find_browser()
    if found is None:
        pytest.skip("no browser is installed: no chromium, chromium-browser or google-chrome")
    return found


@pytest.fixture(scope="module")
def greeted(somebody: Visitor, links: Links) -> Visitor:
    """The visitor, after the first look at the pages."""
    somebody.greet(next(iter(links.values()))["compare"])
    return somebody


@pytest.fixture
def visitor(greeted: Visitor) -> Iterator[Visitor]:
    """The visitor; whatever a test opens, nothing beyond this machine may be asked for."""
    greeted.page.goto("about:blank")  # so that the next page is loaded, not changed into
    greeted.asked_outside.clear()
    yield greeted
    assert greeted.asked_outside == []
