"""Take the pictures of `docs/images` from real studies.

    python -m tests.browser.pictures HOME --study lenet --trial "trial 21 · lenet" --beside mlp cnn

The home is served as it is; `sync` it before with a new database where its views are old.
"""

import argparse
import io
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import FloatRect, Page, expect

from tests.browser.pages import ChartPage, StudyPage
from tests.browser.serving import Links, served
from tests.browser.visitor import find_browser, visiting
from tracking.mlflow.views import comparison_path
from tracking.objectives import OBJECTIVES

_SIZE = (1400, 900)
_SIDE = 198  # pixels of the list of pages at the left
_MOST_BYTES = 300_000
_IMAGES = Path(__file__).parents[2] / "docs" / "images"


@dataclass(frozen=True)
class Photographer:
    """Opens pages and keeps pictures of them.

    Attributes:
        page: the browser's.
        links: of the home's studies.
        folder: where pictures go.
    """

    page: Page
    links: Links
    folder: Path

    def take(self, name: str, left: int = 0) -> None:
        """Keep what is on screen, from `left` on."""
        self.page.mouse.move(700, 60)  # away from what reacts to it
        width, height = _SIZE
        clip = FloatRect(x=left, y=0, width=width - left, height=height)
        taken = self.page.screenshot(animations="disabled", clip=clip)
        path = self.folder / f"{name}.png"
        with Image.open(io.BytesIO(taken)) as image:
            image.convert("RGB").save(path, optimize=True)
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"{path} has {path.stat().st_size:,} bytes; at most {_MOST_BYTES:,}")

    def open(self, study: str, view: str) -> None:
        """Open a printed link, and hide the notice that the view is a shared one."""
        self.page.goto("about:blank")
        self.page.goto(self.links[study][view])
        self.page.get_by_role("button", name="Hide banner").click()

    def best(self, study: str) -> None:
        self.open(study, "best trials first")
        expect(self.page.get_by_role("link", name="trial 1", exact=False).first).to_be_visible()
        self.take("best")

    def description(self, study: str) -> None:
        self.open(study, "best trials first")
        StudyPage(self.page).read_description()
        self.take("description")

    def charts(self, study: str) -> None:
        self.open(study, "compare")
        charts = ChartPage(self.page)
        for section, name in (
            ("Curves", "compare"),
            ("How far trials came", "how-far"),
            ("Settings and scores", "settings"),
        ):
            charts.card(section)
            charts.drawn()
            self.take(name)

    def trial(self, study: str, name: str) -> None:
        for picture, kept in (
            ("confusion_matrix.png", "trial-matrix"),
            ("curves.png", "trial-curves"),
        ):
            self.open(study, "best trials first")
            StudyPage(self.page).open_run(name).picture(picture)
            place = self.page.get_by_text("Path:").filter(has_text="file://").last
            place.evaluate("line => line.style.visibility = 'hidden'")  # it is this machine's
            self.take(kept, left=_SIDE)

    def beside(self, studies: list[str]) -> None:
        links = [self.links[study]["compare"] for study in studies]
        numbers = [found[1] for link in links if (found := re.search(r"experiments/(\d+)/", link))]
        self.page.goto("about:blank")
        address = links[0].partition("/#/")[0]
        self.page.goto(address + comparison_path(numbers, OBJECTIVES["cv_accuracy"]))
        expect(self.page.get_by_role("columnheader", name="cv_accuracy").first).to_be_visible()
        expect(self.page.get_by_role("link", name="trial 1", exact=False).first).to_be_visible()
        self.take("studies")


def main() -> None:
    """Take all pictures."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("home", type=Path)
    asked.add_argument("--study", required=True)
    asked.add_argument("--trial", required=True, help="its run's name, as `trial 21 · lenet`")
    asked.add_argument("--beside", nargs="+", default=[])
    asked.add_argument("--to", type=Path, default=_IMAGES)
    given = asked.parse_args()
    browser = find_browser()
    if browser is None:
        raise SystemExit("no browser is installed")
    with (
        served(given.home.resolve()) as links,
        visiting(browser, width=_SIZE[0], height=_SIZE[1]) as visitor,
    ):
        visitor.greet(links[given.study]["compare"])
        photographer = Photographer(visitor.page, links, given.to)
        photographer.best(given.study)
        photographer.description(given.study)
        photographer.charts(given.study)
        photographer.trial(given.study, given.trial)
        photographer.beside([given.study, *given.beside])


if __name__ == "__main__":
    main()
