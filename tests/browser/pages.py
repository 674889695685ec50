"""What is seen on MLflow's pages. The selectors are read off MLflow 3.17."""

import json
import re
from contextlib import suppress
from typing import Any, Self

from playwright.sync_api import Error, Locator, Page, expect

_HEADERS = """() => [...document.querySelectorAll(
        "[role=columnheader][col-id^='attributes.'], [role=columnheader][col-id^='run'],"
        + "[role=columnheader][col-id^='duration'], [role=columnheader][col-id^='tags.'],"
        + "[role=columnheader][col-id^='metrics.'], [role=columnheader][col-id^='params.']")]
    .sort((a, b) => a.getBoundingClientRect().x - b.getBoundingClientRect().x)
    .map(header => header.innerText.trim())"""
_COLUMN = """() => [...document.querySelectorAll("[role=gridcell][col-id='COLUMN']")]
    .sort((a, b) => a.getBoundingClientRect().y - b.getBoundingClientRect().y)
    .map(cell => cell.innerText.trim().split("\\n").pop())"""
_COLUMN_CHOICE = "[role=dialog] .du-bois-light-tree-node-content-wrapper"
_SECTION = "[data-testid='experiment-view-compare-runs-section-header']"
_SECTIONS = f"""() => [...document.querySelectorAll("{_SECTION}")]
    .map(head => head.innerText.trim().split("\\n").slice(0, 2).join(" "))"""

_INK = """canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
    .data.filter((value, at) => at % 4 === 3 && value > 0).length"""

_CARD = "[data-testid='experiment-view-compare-runs-card']"
_ALL_DRAWN = f"""() => [...document.querySelectorAll("{_CARD}")]
    .filter(card => card.getBoundingClientRect().y < window.innerHeight - 150)
    .every(card => {{
        const canvas = card.querySelector(".parcoords canvas.foreground");
        return canvas ? ({_INK})(canvas) > 0 : card.querySelector("g.trace, img[src*='artifact']");
    }})"""


def settled(page: Page, script: str, expected: Any) -> Any:
    """Return what the script finds, once that is `expected`; at the end of patience in any case."""
    text = json.dumps(expected, separators=(",", ":"), ensure_ascii=False)
    with suppress(Error):  # whoever asked says best what is different
        page.wait_for_function(f"wanted => JSON.stringify(({script})()) === wanted", arg=text)
    return page.evaluate(script)


class StudyPage:
    """An experiment's page, or that of several."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def headers(self, expected: list[str]) -> Any:
        """Return the columns' names from left to right."""
        return settled(self.page, _HEADERS, expected)

    def column(self, name: str, expected: list[str]) -> Any:
        """Return a column's cells from top to bottom; the last line of each."""
        return settled(self.page, _COLUMN.replace("COLUMN", name), expected)

    def trials(self, expected: list[str]) -> Any:
        """Return the runs' names from top to bottom."""
        return self.column("attributes.`Run Name`", expected)

    def names(self, count: int) -> list[str]:
        """Return the names of so many runs, in any order."""
        runs = self.page.locator("[role=gridcell][col-id='attributes.`Run Name`'] a")
        expect(runs).to_have_count(count)
        return sorted(runs.all_inner_texts())

    def search(self, query: str) -> None:
        """Show only the runs that the query finds."""
        field = self.page.get_by_placeholder("metrics.rmse")
        field.fill(query)
        field.press("Enter")

    def choose_columns(self, chosen: tuple[str, ...], dropped: tuple[str, ...] = ()) -> None:
        """Tick and untick columns in the menu."""
        self.page.get_by_role("button", name="Columns", exact=True).click()
        field = self.page.get_by_placeholder("Search columns")
        for name in (*dropped, *chosen):
            field.fill(name)
            exactly = re.compile(f"^{re.escape(name)}$")
            self.page.locator(_COLUMN_CHOICE).filter(has_text=exactly).click()
        self.page.keyboard.press("Escape")
        expect(field).to_be_hidden()

    def read_description(self) -> str:
        """Open the description and return its text."""
        editor = "mlflow.experiment.metadata_editor"
        self.page.locator(f"[data-component-id='{editor}.expand_button']").click()
        end = self.page.get_by_text("The test set has not been opened.")
        expect(end).to_be_visible()
        text: str = end.evaluate("end => end.parentElement.parentElement.innerText")
        return text

    def open_run(self, name: str) -> "RunPage":
        """Open a run by the link of its name."""
        self.page.get_by_role("link", name=name, exact=True).click()
        return RunPage(self.page)


class ChartPage(StudyPage):
    """The page of charts."""

    def sections(self, expected: list[str]) -> Any:
        """Return the sections' headings from top to bottom, each with the number of its charts."""
        return settled(self.page, _SECTIONS, expected)

    def drawn(self) -> None:
        """Wait until every chart that is well in view is drawn."""
        self.page.wait_for_function(_ALL_DRAWN)

    def card(self, section: str, number: int = 0) -> "Card":
        """Return a section's chart, from 0, brought into view: charts are drawn only then."""
        head = self.page.locator(_SECTION).filter(has_text=section)
        # The field above the charts covers the first 64 pixels.
        head.evaluate("head => { head.style.scrollMarginTop = '64px'; head.scrollIntoView(); }")
        found = self.page.locator(".du-bois-light-collapse-item").filter(has=head)
        card = found.locator(_CARD).nth(number)
        card.scroll_into_view_if_needed()
        return Card(card)


class Card:
    """One chart."""

    def __init__(self, place: Locator) -> None:
        self.place = place

    def title(self, expected: str) -> str:
        """Return what stands above it: `expected`, once that is there."""
        expect(self.place).to_contain_text(expected)
        return self.place.inner_text().split("\n")[0]

    def is_on_screen(self) -> bool:
        """Return whether all of it is seen without scrolling."""
        box, window = self.place.bounding_box(), self.place.page.viewport_size
        return bool(box and window and box["y"] + box["height"] <= window["height"])

    def lines(self, points: int) -> int:
        """Return how many different lines of so many points are drawn."""
        drawn = self.place.locator("path.js-line")
        expect(drawn.first).to_be_attached()
        paths = drawn.evaluate_all("lines => lines.map(line => line.getAttribute('d'))")
        return len({path for path in paths if path.count("L") == points - 1})

    def axes(self) -> list[str]:
        """Return the axes' names of parallel coordinates from left to right."""
        titles = self.place.locator(".parcoords .axis text.label")
        expect(titles.first).to_be_visible()
        return titles.all_text_contents()

    def ink(self) -> int:
        """Return how many pixels the lines of parallel coordinates have."""
        canvas = self.place.locator(".parcoords canvas.foreground").element_handle()
        return int(self.place.page.wait_for_function(_INK, arg=canvas).json_value())

    def pictures(self, count: int) -> list[int]:
        """Return the widths of its pictures, pixels; 0 is one that did not load."""
        return loaded(self.place.locator("img[src*='artifact']"), count)


class ExperimentsPage:
    """The list of all experiments."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @classmethod
    def beside(cls, page: Page, link: str) -> Self:
        """Open the list at the server that `link` leads to."""
        page.goto(link.partition("#")[0] + "#/experiments")
        return cls(page)

    def open(self, study: str) -> StudyPage:
        """Open a study by its name in the list."""
        entry = self.page.locator("[data-testid='experiment-list-item-link']")
        entry.filter(has_text=re.compile(f"^{re.escape(study)}$")).click()
        return StudyPage(self.page)

    def compare(self, *studies: str) -> StudyPage:
        """Tick the studies and open the page of them together."""
        for study in studies:
            row = self.page.get_by_role("row").filter(has=self.page.get_by_text(study, exact=True))
            row.get_by_role("checkbox").check()
        self.page.get_by_role("button", name="Compare", exact=True).click()
        return StudyPage(self.page)


class RunPage:
    """A run's page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def picture(self, name: str) -> int:
        """Open an artifact that is a picture and return its width, pixels."""
        self.page.get_by_role("tab", name="Artifacts").click()
        self.page.get_by_text(name, exact=True).first.click()
        return loaded(self.page.locator(f"img[alt='{name}']"), 1)[0]


def loaded(pictures: Locator, count: int) -> list[int]:
    """Return the natural widths of so many pictures once each has come to an end."""
    expect(pictures).to_have_count(count)
    for number in range(count):
        place = pictures.nth(number)
        place.scroll_into_view_if_needed()
        expect(place).to_have_js_property("complete", True)
    widths: list[int] = pictures.evaluate_all("all => all.map(one => one.naturalWidth)")
    return widths
