import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from search.analysis.comparison.comparison import compare
from search.analysis.comparison.contenders import champions
from search.analysis.comparison.notes import difference_texts
from search.analysis.measure import p_text
from search.analysis.report.page import Markup, json_block, table, tag
from search.analysis.report.report import Reported, report
from tests.search.analysis.report.made import made_study
from tests.search.analysis.report.samples import study_on
from tests.studies import StudyBuilder
from tracking.home import Home

EVIL = 'x"></script><img src=x onerror=alert(1)>&amp;'


class Reading(HTMLParser):
    """What a browser would make of a page: elements with attributes, texts by element."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.elements, self.texts, self._open = [], {}, []
        self.feed(page)

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        self._open.append(name)

    def handle_endtag(self, name):
        while self._open and self._open.pop() != name:
            pass

    def handle_data(self, data):
        self.texts.setdefault(self._open[-1] if self._open else "", []).append(data)

    def text(self, name):
        return " ".join(self.texts.get(name, []))

    def all(self, name):
        return [attributes for found, attributes in self.elements if found == name]


@pytest.fixture
def page(tmp_path):
    def page(*studies, **more):
        reported = [
            Reported(study.history, Home(tmp_path).study(study.records[0].study), **more)
            for study in studies
        ]
        return report(reported, home=tmp_path)

    return page


def evil_study():
    study = StudyBuilder(EVIL).race()
    start = study.records[0]
    start.dataset.update(name=EVIL, source=EVIL, classes=[EVIL, f"{EVIL}2", ""])
    start.parameters[0]["name"] = EVIL
    start.settings["set"] = {EVIL: EVIL}
    for record in study.records:
        if hasattr(record, "parameters") and isinstance(record.parameters, dict):
            record.parameters[EVIL] = record.parameters.pop("filters")
    study.start_trial(6)
    study.end_trial(6, "failed", reason=EVIL, error=f"Traceback\n{EVIL}")
    return study


def test_text_is_escaped_and_markup_is_not():
    assert tag("p", "<b>", tag("i", "&")) == "<p>&lt;b&gt;<i>&amp;</i></p>"
    assert (
        tag("a", "x", href='"><', class_=None, hidden=True)
        == '<a href="&quot;&gt;&lt;" hidden>x</a>'
    )
    assert "<td>&lt;i&gt;</td>" in table(["h"], [["<i>"]])
    assert "<td><i></i></td>" in table(["h"], [[Markup("<i></i>")]])


def test_data_cannot_end_its_script():
    block = json_block("x", {"name": "</script><!--\u2028"})
    assert block.count("</script>") == 1
    assert "<!--" not in block
    assert json.loads(re.search(r">(.*)</script>", block)[1]) == {"name": "</script><!--\u2028"}


@pytest.mark.slow
def test_names_and_errors_stay_text_wherever_they_stand(page):
    made = page(evil_study())
    seen = Reading(made)
    assert not [a for a in seen.all("img") if a.get("src") == "x"]
    assert not [name for _, attributes in seen.elements for name in attributes if name == "onerror"]
    assert EVIL in seen.text("h1")
    assert EVIL in seen.text("summary")
    before = len(Reading(page(StudyBuilder().race())).all("script"))
    assert len(seen.all("script")) == before


@pytest.mark.slow
def test_nothing_is_asked_of_any_network(page):
    seen = Reading(page(made_study(12)))
    for _, attributes in seen.elements:
        for name in ("src", "href", "action", "data"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:")), (name, value)
    [policy] = [a["content"] for a in seen.all("meta") if a.get("http-equiv")]
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


@pytest.mark.slow
def test_the_policy_allows_the_two_scripts_of_the_page_alone(page):
    made = page(made_study(12))
    scripts = re.findall(r"<script>(.*?)</script>", made, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', made)[1]
    assert re.findall(r"sha256-([^&#']+)", policy.replace("&#x27;", "'")) == digests
    assert len(digests) == 2


@pytest.mark.slow
def test_every_chart_has_its_data_and_every_entry_of_the_contents_its_place(page):
    seen = Reading(page(made_study(60, stopped=range(5))))
    identities = {a["id"] for _, a in seen.elements if "id" in a}
    wanted = [a["data-figure"] for a in seen.all("div") if "data-figure" in a]
    assert len(wanted) == 11
    assert set(wanted) <= identities
    links = [a["href"].removeprefix("#") for a in seen.all("a")]
    assert links
    assert set(links) <= identities


def test_what_cannot_be_drawn_is_explained(page):
    study = StudyBuilder()
    study.session()
    study.complete_trial(0)
    text = Reading(page(study)).text("p")
    assert "No trial was pruned." in text
    assert "The trials do not differ in any searched parameter." in text


@pytest.mark.slow
def test_samples_that_cannot_be_shown_are_explained(page):
    assert "The samples cannot be shown: the folds of a study" in page(StudyBuilder().race())


def test_the_surest_mistakes_are_shown_as_pictures(page, tmp_path):
    seen = Reading(page(study_on(tmp_path)))
    assert len([a for a in seen.all("img") if a["src"].startswith("data:image/png")]) == 2


@pytest.mark.slow
def test_failed_trials_are_listed_with_their_reasons(page):
    text = Reading(page(StudyBuilder().every_kind_of_trial())).text("summary")
    assert "trial 3: out of memory" in text


@pytest.mark.slow
def test_a_running_study_says_that_there_may_be_more(page):
    assert "The study is still running" in page(StudyBuilder().race(), is_running=True)
    assert "The study is still running" not in page(StudyBuilder().race())


@pytest.mark.slow
def test_the_page_stays_small(page):
    assert len(page(made_study(60)).encode()) < 6e6


def named(name, level):
    study = StudyBuilder(name)
    study.session()
    study.complete_trial(0, level)
    return study


def with_trials(name, *trials):
    study = StudyBuilder(name, folds=4)
    study.session()
    for number, scores in enumerate(trials):
        study.start_trial(number, "sampled")
        for fold, score in enumerate(scores, start=1):
            study.fold(number, fold, level=score)
        study.end_trial(number, "complete", sum(scores) / len(scores))
    return study


@pytest.mark.slow
def test_several_studies_are_compared_with_the_numbers_of_compare(page, tmp_path):
    low = with_trials("low", [0.80, 0.82, 0.78, 0.79], [0.70, 0.72, 0.75, 0.71])
    high = with_trials("high", [0.85, 0.88, 0.80, 0.81], [0.60, 0.66, 0.61, 0.70])
    found = [(Home(tmp_path).study(s.records[0].study), s.history) for s in (low, high)]
    compared = compare(champions(found))
    pair = compared.pairs[0]
    _, interval = difference_texts(compared.measure, pair)
    seen = Reading(page(low, high))
    assert compared.verdict in seen.text("p")
    assert f"+3.75 points (95 % interval {interval})" in seen.texts["td"]
    assert p_text(pair.holm_p) in seen.texts["td"]
    assert "was chosen from 2 trials" in seen.text("p")
    identities = [a["id"] for _, a in seen.elements if "id" in a]
    assert len(identities) == len(set(identities))


@pytest.mark.slow
def test_studies_on_other_folds_are_compared_unpaired(page):
    other = with_trials("high", [0.85, 0.88, 0.80, 0.81])
    object.__setattr__(other.records[0], "folds_digest", "ee" * 32)
    seen = Reading(page(with_trials("low", [0.80, 0.82, 0.78, 0.79]), other))
    assert "No difference between high and low can be claimed" in seen.text("p")
    assert any(text.startswith("+3.75 points (95 % interval") for text in seen.texts["td"])


@pytest.mark.slow
def test_studies_on_other_data_are_shown_but_not_compared(page):
    other = named("high", 0.85)
    other.records[0].dataset["digest"] = "ee" * 32
    seen = Reading(page(named("low", 0.80), other))
    assert "Studies must be on the same dataset to be compared" in seen.text("p")
    assert "first is better by" not in seen.texts["th"]


@pytest.mark.slow
def test_studies_with_other_objectives_are_compared_by_the_task_s_own_metric(page):
    other = StudyBuilder("loss", objective="cv_loss")
    other.session()
    other.complete_trial(0)
    seen = Reading(page(named("low", 0.80), other))
    assert "Accuracy is compared, which all of them recorded" in seen.text("p")


@pytest.mark.slow
def test_the_verdict_begins_with_the_params_and_how_to_use_them(page):
    made = page(StudyBuilder().race())
    start = made.index('class="card verdict"')
    places = [
        made.index(text, start)
        for text in (
            "Trial 1 is the best: accuracy 0.8100 ± 0.0100 over 2 folds",
            "<dt>filters</dt><dd>33</dd>",
            "<dt>extra</dt><dd>on</dd>",
            "foldwise export lenet-digits --out model ",
            "foldwise predict model image.png ",
            "It is better than the best baseline",
        )
    ]
    assert places == sorted(places)
    assert "<dt>batch_size</dt>" not in made  # it was not searched


def rows_of(seen):
    [table] = re.findall(r'<div class="card trials".*?</table>', seen, re.DOTALL)
    return re.findall(r"<tr[ >].*?</tr>", table.replace("\n", " "))


@pytest.mark.slow
def test_the_table_of_trials_is_whole_without_a_script(page):
    head, *rows = rows_of(page(StudyBuilder().race()))
    names = re.findall(r"<th[^>]*>(.*?)</th>", head)
    assert names == [
        *("trial", "state", "accuracy", "when pruned", "time", "parameters"),
        *("filters", "extra", "more"),
    ]
    assert [int(re.search(r'data-trial="(\d+)"', row)[1]) for row in rows] == [1, 0, 2, 3, 4, 5]
    assert ' class="best"' in rows[0]
    cells = re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", rows[2])
    assert cells[:4] == ["trial 2", "pruned after fold 1, epoch 2", "", "0.6980"]
    assert cells[-3:] == ["34", "off", ""]
    assert "<button" not in page(StudyBuilder().race()).split("<script>")[0]


def test_searched_params_that_never_differ_are_told_once(page):
    study = StudyBuilder()
    study.session()
    study.complete_trial(0)
    study.complete_trial(2)
    made = page(study)
    assert "The same in every trial that uses it: extra=off." in made
    assert '<th scope="col">extra</th>' not in made


@pytest.mark.slow
def test_each_of_several_studies_has_its_contents(page):
    made = page(named("low", 0.80), named("high", 0.85))
    seen = Reading(made)
    labels = [nav["aria-label"] for nav in seen.all("nav")]
    assert labels == ["contents", "contents of low", "contents of high"]
    identities = [a["id"] for _, a in seen.elements if "id" in a]
    links = [a["href"].removeprefix("#") for a in seen.all("a")]
    assert set(links) <= set(identities)
    assert {"study-1", "study-2", "1-verdict", "2-verdict", "1-trials", "2-again"} <= set(links)
    assert links.count("study-2") == 2  # in the contents and in the comparison
