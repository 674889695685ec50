"""The page in a real browser: wide and narrow, light and dark."""

import os
import shutil

import pytest
from playwright.sync_api import expect, sync_playwright

from search.analysis.report.report import Reported, report
from tests.search.analysis.report.made import made_study
from tracking.home import Home

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((path for name in NAMES if (path := shutil.which(name))), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason=f"none of {', '.join(NAMES)} is installed"),
]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    study = made_study(60, stopped=range(10, 20))
    name = "a-name-that-is-long-and-has-no-space-to-break-it-" * 2
    object.__setattr__(study.records[0], "study", name)
    path = folder / "report.html"
    path.write_text(report([Reported(study.history, Home(folder).study(name))], home=folder))
    return path


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        options += ["--enable-unsafe-swiftshader"]  # WebGL without a graphics card
        browser = playwright.chromium.launch(executable_path=BROWSER, args=options)
        yield browser
        browser.close()


class Opened:
    """A page, and what it asked for and complained about."""

    def __init__(self, browser, file, **context):
        self.page = browser.new_context(**context).new_page()
        self.requests, self.complaints = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console",
            lambda said: self.complaints.append(said.text) if said.type == "error" else None,
        )
        self.page.goto(file.as_uri())

    def draw_all(self):
        for chart in self.page.locator(".chart").all():
            chart.scroll_into_view_if_needed()
            expect(chart.locator(".main-svg").first).to_be_attached(timeout=30_000)
        return self


@pytest.fixture
def opened(browser, file):
    def opened(width=1400, height=1000, scheme="light", **context):
        size = {"width": width, "height": height}
        return Opened(browser, file, viewport=size, color_scheme=scheme, **context).draw_all()

    return opened


def colour(page, selector, what):
    script = f"e => getComputedStyle(e)['{what}']"
    return page.locator(selector).first.evaluate(script)


def test_every_chart_is_drawn_without_a_network_and_without_complaints(opened, file):
    seen = opened()
    assert seen.page.locator(".chart").count() == 10
    assert seen.complaints == []
    asked = [url for url in seen.requests if not url.startswith(("data:", "blob:"))]
    assert asked == [file.as_uri()]


def test_charts_wait_until_they_come_into_sight(browser, file):
    seen = Opened(browser, file, viewport={"width": 1400, "height": 600})
    seen.page.locator(".chart").first.scroll_into_view_if_needed()
    expect(seen.page.locator(".chart .main-svg").first).to_be_attached(timeout=30_000)
    assert seen.page.locator(".chart[data-drawn]").count() < 10


@pytest.mark.parametrize("width", [390, 768, 1400])
def test_the_page_never_scrolls_sideways(opened, width):
    seen = opened(width=width, height=844)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_dark_system_gets_a_dark_page_and_dark_charts(opened):
    light, dark = opened().page, opened(scheme="dark").page
    first = "[data-figure=figure-optimisation_history] .main-svg"
    for selector, what in (("body", "backgroundColor"), (first, "backgroundColor")):
        bright, dim = colour(light, selector, what), colour(dark, selector, what)
        assert sum(map(int, bright[4:-1].split(","))) > 600
        assert sum(map(int, dim[4:-1].split(","))) < 150


def test_charts_follow_when_the_system_turns_dark(opened):
    page = opened().page
    page.emulate_media(color_scheme="dark")
    chart = page.locator("[data-figure=figure-optimisation_history] .main-svg").first
    expect(chart).to_have_css("background-color", "rgb(26, 29, 35)")


def test_panels_stand_below_each_other_on_a_phone(opened):
    for width, rows in ((390, 4), (1400, 2)):
        page = opened(width=width, height=844).page
        plot = page.locator("[data-figure=figure-slices] .js-plotly-plot")
        domains = "div => Object.entries(div.layout).filter(([key]) => /^yaxis/.test(key))"
        tops = plot.evaluate(f"{domains}.map(([_, axis]) => axis.domain[1])")
        assert len(set(tops)) == rows


def test_another_trial_can_be_chosen(opened):
    page = opened().page
    chart = page.locator("figure", has=page.locator("[data-figure=figure-curves]"))
    visible = "div => div.data.map(trace => trace.visible !== false).indexOf(true)"
    plot = chart.locator(".js-plotly-plot")
    assert plot.evaluate(visible) == 0
    chart.locator("select").select_option(index=1)
    page.wait_for_function("i => true", arg=0)
    assert plot.evaluate(visible) > 0


def test_a_finger_on_a_chart_scrolls_the_page(opened):
    page = opened(width=390, height=844, has_touch=True, is_mobile=True).page
    plot = page.locator("[data-figure=figure-time] .js-plotly-plot")
    assert plot.evaluate("div => div.layout.dragmode") is False
