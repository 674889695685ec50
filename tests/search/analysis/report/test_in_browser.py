"""The page in a real browser: wide and narrow, light and dark."""

import os
import shutil
from functools import cache

import pytest
from playwright.sync_api import expect, sync_playwright

from search.analysis.report.report import Reported, report
from tests.search.analysis.report.made import made_study
from tracking.home import Home
from tracking.plots import trial_colour

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


class OpenStudy:
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

    def draw(self, *charts):
        """Bring charts into sight, all of them where none is named."""
        places = [self.page.locator(f"[data-figure=figure-{name}]") for name in charts]
        for chart in places or self.page.locator(".chart").all():
            chart.scroll_into_view_if_needed()
            expect(chart.locator(".main-svg").first).to_be_attached(timeout=30_000)
        return self


@pytest.fixture(scope="module")
def whole(browser, file):
    """Return a page by its width, with every chart drawn, to be looked at only: that takes long."""

    @cache
    def whole(width):
        return OpenStudy(browser, file, viewport={"width": width, "height": 844}).draw()

    return whole


@pytest.fixture
def opened(browser, file):
    """Open a page anew and draw the charts that are named."""

    def opened(*charts, width=1400, **context):
        size = {"width": width, "height": 844}
        seen = OpenStudy(browser, file, viewport=size, **context)
        return seen.draw(*charts) if charts else seen

    return opened


def colour(page, selector, what):
    script = f"e => getComputedStyle(e)['{what}']"
    return page.locator(selector).first.evaluate(script)


def test_every_chart_is_drawn_without_a_network_and_without_complaints(whole, file):
    seen = whole(1400)
    assert seen.page.locator(".chart").count() == 11
    assert seen.complaints == []
    asked = [url for url in seen.requests if not url.startswith(("data:", "blob:"))]
    assert asked == [file.as_uri()]


def test_charts_wait_until_they_come_into_sight(browser, file):
    seen = OpenStudy(browser, file, viewport={"width": 1400, "height": 600})
    seen.page.locator(".chart").first.scroll_into_view_if_needed()
    expect(seen.page.locator(".chart .main-svg").first).to_be_attached(timeout=30_000)
    assert seen.page.locator(".chart[data-drawn]").count() < 11


@pytest.mark.parametrize("width", [390, 768, 1400])
def test_the_page_never_scrolls_sideways(whole, width):
    seen = whole(width)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_dark_system_gets_a_dark_page_and_dark_charts(whole, opened):
    light, dark = whole(1400).page, opened("optimisation_history", color_scheme="dark").page
    first = "[data-figure=figure-optimisation_history] .main-svg"
    for selector, what in (("body", "backgroundColor"), (first, "backgroundColor")):
        bright, dim = colour(light, selector, what), colour(dark, selector, what)
        assert sum(map(int, bright[4:-1].split(","))) > 600
        assert sum(map(int, dim[4:-1].split(","))) < 150


def test_charts_follow_when_the_system_turns_dark(opened):
    page = opened("optimisation_history", color_scheme="light").page
    page.emulate_media(color_scheme="dark")
    chart = page.locator("[data-figure=figure-optimisation_history] .main-svg").first
    expect(chart).to_have_css("background-color", "rgb(26, 29, 35)")


def test_panels_stand_below_each_other_on_a_phone(whole):
    for width, rows in ((390, 4), (1400, 2)):
        page = whole(width).page
        plot = page.locator("[data-figure=figure-slices] .js-plotly-plot")
        domains = "div => Object.entries(div.layout).filter(([key]) => /^yaxis/.test(key))"
        tops = plot.evaluate(f"{domains}.map(([_, axis]) => axis.domain[1])")
        assert len(set(tops)) == rows


def test_another_trial_can_be_chosen(opened):
    page = opened("curves").page
    chart = page.locator("figure", has=page.locator("[data-figure=figure-curves]"))
    visible = "div => div.data.map(trace => trace.visible !== false).indexOf(true)"
    plot = chart.locator(".js-plotly-plot")
    assert plot.evaluate(visible) == 0
    chart.locator("select").select_option(index=1)
    assert plot.evaluate(visible) > 0


def test_a_finger_on_a_chart_scrolls_the_page(opened):
    page = opened("time", width=390, has_touch=True, is_mobile=True).page
    plot = page.locator("[data-figure=figure-time] .js-plotly-plot")
    assert plot.evaluate("div => div.layout.dragmode") is False


def column(page, head):
    """Return what stands in a column of the trials that are shown, from top to bottom."""
    heads = [text.strip() for text in page.locator(".trials thead th").all_inner_texts()]
    place = next(n for n, text in enumerate(heads, start=1) if text.split("\n")[0] == head)
    return page.locator(f".trials tbody tr:not([hidden]) > :nth-child({place})").all_inner_texts()


def numbers(texts):
    return [float(text.split()[0].replace(",", "")) for text in texts if text]


def test_a_head_of_the_table_sorts_trials_with_mouse_and_keyboard(opened):
    page = opened().page
    assert numbers(column(page, "accuracy")) == sorted(
        numbers(column(page, "accuracy")), reverse=True
    )
    head = page.locator(".trials thead th", has_text="decides")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    found = numbers(column(page, "decides"))
    assert len(found) == 60
    assert found == sorted(found)
    head.get_by_role("button").press("Enter")
    assert numbers(column(page, "decides")) == found[::-1]
    page.locator(".trials thead th", has_text="inner").get_by_role("button").click()
    inner = column(page, "inner")
    empty = inner.count("")
    assert 0 < empty < 60
    assert inner[-empty:] == [""] * empty  # what a trial does not have comes last
    assert page.locator(".trials th[aria-sort]").count() == 1


def test_words_and_columns_filter_the_table(opened):
    page = opened().page
    field, count = page.get_by_label("Filter"), page.locator(".trials output")
    expect(count).to_have_text("60 of 60 shown")
    field.fill("pruned")
    expect(count).to_have_text("10 of 60 shown")
    field.fill("decides>=0.5 switch=on accuracy>0.6")
    found = numbers(column(page, "decides"))
    assert found
    assert min(found) >= 0.5
    assert set(column(page, "switch")) == {"on"}
    assert set(column(page, "state")) == {"complete"}
    field.fill("decide>0.5")
    expect(count).to_have_text("No column is called decide.")
    assert len(column(page, "decides")) == len(found)
    field.fill("")
    expect(count).to_have_text("60 of 60 shown")


SHOWN = """div => [...new Set(div.data.filter(trace => trace.visible === true)
  .map(trace => trace.legendgroup))].sort()"""


def test_ticks_lay_curves_over_each_other(opened):
    page = opened("trial_curves").page
    plot = page.locator("[data-figure=figure-trial_curves] .js-plotly-plot")
    ticked = page.locator(".trials td.tick input:checked")
    first = plot.evaluate(SHOWN)
    assert len(first) == ticked.count() == 10
    box = page.get_by_label("Show the curve of trial 10", exact=True)  # a pruned one
    box.press(" ")
    assert plot.evaluate(SHOWN) == sorted([*first, "10"])
    page.get_by_role("button", name="Untick all shown").click()
    assert plot.evaluate(SHOWN) == []
    page.get_by_label("Filter").fill("pruned")
    page.get_by_role("button", name="Tick all shown", exact=True).click()
    assert plot.evaluate(SHOWN) == [str(n) for n in range(10, 20)]
    colours = plot.evaluate("""div => Object.fromEntries(div.data.filter(trace => trace.visible)
      .map(trace => [trace.legendgroup, trace.line.color]))""")
    assert colours["12"] == trial_colour(12)


def test_without_a_script_the_table_is_whole(opened):
    page = opened(java_script_enabled=False).page
    assert page.locator(".trials tbody tr").count() == 60
    assert page.locator(".trials input, .trials button").count() == 0


def test_a_dark_system_prints_on_white(opened):
    page = opened("optimisation_history", color_scheme="dark").page
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    chart = page.locator("[data-figure=figure-optimisation_history] .main-svg").first
    expect(chart).to_have_css("background-color", "rgb(255, 255, 255)")
    assert page.locator(".chart:not([data-drawn])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(chart).to_have_css("background-color", "rgb(26, 29, 35)")
