"""What a visitor of MLflow's pages sees, in a real browser at a real server."""

import re
from pathlib import Path

import pytest

from tests.browser.home import OTHER, RACED
from tests.browser.pages import ChartPage, ExperimentsPage, StudyPage
from tests.browser.serving import search
from tests.faults.servers import Server
from tracking.mlflow.views import comparison_path
from tracking.objectives import OBJECTIVES

pytestmark = pytest.mark.slow

COLUMNS = [
    *("Run Name", "Created", "Duration", "search.state"),
    *("cv_accuracy", "cv_accuracy_std", "macro_f1", "train_seconds"),
    *("filters", "extra", "more"),
    *("cv_loss", "epochs_trained", "model_parameters"),
]


def of(study: str, *trials: str) -> list[str]:
    """Return the names that runs of these trials have."""
    return [f"{trial} · {study}" for trial in trials]


BEST_FIRST = of(RACED, "trial 1", "trial 2", "trial 0 (lenet5)")
UNFINISHED = of(RACED, "trial 4", "trial 3")


@pytest.fixture
def table(visitor, links):
    visitor.page.goto(links[RACED]["best trials first"])
    return StudyPage(visitor.page)


@pytest.fixture
def charts(visitor, links):
    visitor.page.goto(links[RACED]["compare"])
    return ChartPage(visitor.page)


def test_two_links_are_printed_for_each_study(links):
    assert {study: list(found) for study, found in links.items()} == {
        study: ["best trials first", "compare"] for study in (RACED, OTHER)
    }


def test_the_address_that_is_printed_first_opens_on_trials(visitor, links):
    visitor.page.goto(links[RACED]["compare"].partition("#")[0])
    page = StudyPage(visitor.page)
    assert page.trials([*BEST_FIRST, *UNFINISHED]) == [*BEST_FIRST, *UNFINISHED]


def test_an_experiment_opened_from_the_list_shows_its_trials_and_their_scores(visitor, links):
    page = ExperimentsPage.beside(visitor.page, links[OTHER]["compare"]).open(OTHER)
    assert page.headers(COLUMNS) == COLUMNS
    scores = ["0.84", "0.78", "0.75"]
    shown = page.column("metrics.`cv_accuracy`", scores)
    assert set(scores) <= set(shown)


def test_the_table_has_state_and_scores_then_what_was_searched(table):
    assert table.headers(COLUMNS) == COLUMNS


def test_the_table_shows_trials_alone_the_best_first_and_those_without_a_score_last(table):
    assert table.trials([*BEST_FIRST, *UNFINISHED]) == [*BEST_FIRST, *UNFINISHED]
    scores = ["0.85", "0.83", "0.8", "-", "-"]
    assert table.column("metrics.`cv_accuracy`", scores) == scores
    states = ["complete"] * 3 + ["failed", "pruned"]
    assert table.column("tags.`search.state`", states) == states


def test_the_charts_open_on_the_curves_of_every_trial(charts):
    sections = [
        "Curves (2)",
        "How far trials came, pruned ones included (1)",
        "Settings and scores, complete trials (1)",  # one trial alone has the conditional one
        "Scores, complete trials (1)",
        "Confusion matrices (1)",
    ]
    assert charts.sections(sections) == sections
    accuracy, loss = charts.card("Curves", 0), charts.card("Curves", 1)
    assert [accuracy.title("val_accuracy"), loss.title("val_loss")] == ["val_accuracy", "val_loss"]
    assert accuracy.lines(points=3) == 3  # the complete trials
    assert accuracy.lines(points=2) == 1  # the pruned one
    assert accuracy.lines(points=1) == 1  # the failed one: a dot
    assert accuracy.is_on_screen()
    assert loss.is_on_screen()


@pytest.mark.parametrize(
    ("section", "number", "axes"),
    [
        ("How far trials came", 0, ["filters", "extra", "epochs_trained"]),
        ("Settings and scores", 0, ["filters", "extra", "cv_accuracy"]),
    ],
)
def test_parallel_coordinates_have_an_axis_for_each_parameter_and_lines(
    charts, section, number, axes
):
    chart = charts.card(section, number)
    assert chart.axes() == axes
    assert chart.ink() > 100


def test_the_charts_show_the_confusion_matrix_of_every_complete_trial(charts):
    widths = charts.card("Confusion matrices").pictures(count=3)
    assert all(width > 100 for width in widths)


def test_the_description_says_what_a_visitor_needs(table):
    text = table.read_description()
    for needed in (
        "Best so far: trial 1, cv_accuracy 0.8500 ± 0.0100 over 2 folds.",
        "Trials: 3 complete, 1 pruned, 1 failed.",
        "Best trials first: state, scores and settings",
        f"foldwise run --study {RACED} --trials N",
        "Dataset digits from scikit-learn: 90 training samples, 3 classes",
        "cv_accuracy_std: sample standard deviation",
        "there, search for tags.`search.kind` = 'trial' and",
        "The test set has not been opened.",
    ):
        assert needed in text


@pytest.mark.parametrize("name", ["confusion_matrix.png", "curves.png"])
def test_a_trials_pictures_open_on_its_page(table, name):
    assert table.open_run(*of(RACED, "trial 1")).picture(name) >= 350


def test_two_studies_ticked_on_the_page_of_experiments_show_trials_of_both(visitor, links):
    page = ExperimentsPage.beside(visitor.page, links[RACED]["compare"])
    both = page.compare(RACED, OTHER)
    both.search("tags.`search.kind` = 'trial'")
    others = of(OTHER, "trial 0 (small)", "trial 1", "trial 2")
    assert both.names(count=8) == sorted([*BEST_FIRST, *UNFINISHED, *others])


def test_a_link_shows_two_studies_side_by_side_the_best_trial_of_either_first(visitor, links):
    numbers = [re.search(r"experiments/(\d+)/", links[s]["compare"])[1] for s in (RACED, OTHER)]
    address = links[RACED]["compare"].partition("/#/")[0]
    visitor.page.goto(address + comparison_path(numbers, OBJECTIVES["cv_accuracy"]))
    others = of(OTHER, "trial 2", "trial 1", "trial 0 (small)")
    first = [BEST_FIRST[0], others[0], *BEST_FIRST[1:], *others[1:]]
    page = StudyPage(visitor.page)
    assert page.trials([*first, *UNFINISHED]) == [*first, *UNFINISHED]
    studies = [RACED, OTHER, RACED, RACED, OTHER, OTHER, RACED, RACED]
    assert page.column("attributes.`Experiment Name`", studies) == studies
    scores = ["0.85", "0.84", "0.83", "0.8", "0.78", "0.75", "-", "-"]
    assert page.column("metrics.`cv_accuracy`", scores) == scores


def test_links_printed_after_a_search_against_a_server_open_its_pages(visitor, tmp_path: Path):
    with Server(tmp_path / "server") as server:
        said = search(
            tmp_path,
            *("run", "--space", "mlp", "--dataset", "digits", "--study", "far", "--trials", "2"),
            *("--folds", "2", "--epochs", "1", "--limit-samples", "200"),
            *("--tracking-uri", server.address),
        )
        [link] = re.findall(r"http://\S+viewStateShareKey=\S+", said)
        assert link.startswith(server.address)
        visitor.page.goto(link)
        names = of("far (mlp)", "trial 0 (small)", "trial 1 (small-tuned)")
        assert StudyPage(visitor.page).names(count=2) == names
        run = StudyPage(visitor.page).open_run(names[0])
        assert run.picture("confusion_matrix.png") >= 350  # which the server sends


def test_a_page_that_asks_beyond_this_machine_is_noticed_and_gets_nothing(greeted, links):
    greeted.page.goto(links[RACED]["compare"])
    asks = "() => fetch('http://example.com/x').then(() => 'answered', () => 'nothing')"
    assert greeted.page.evaluate(asks) == "nothing"
    assert greeted.asked_outside == ["http://example.com/x"]
