import json
import re

import pytest

from tracking.mlflow.pages import STORE, create_app, shown_columns, with_settings
from tracking.mlflow.views import BEST, TAG_PREFIX, view_tags

PAGE = '<!doctype html><html><head><meta charset="utf-8"/></head><body></body></html>'


def settings_in(page):
    [found] = re.findall(r"Object\.entries\((\{.*\})\)\)$", page, re.MULTILINE)
    return json.loads(found)


@pytest.fixture
def studies(study, new_study):
    first, second = study, new_study("second", "f" * 32, objective="cv_loss")
    return {"10": view_tags(first.history), "2": view_tags(second.history)}


def test_a_browser_that_has_chosen_nothing_shows_models_and_no_assistant():
    page = with_settings(PAGE, {}, "")
    assert settings_in(page)["mlflow.workflowType_v1"] == "machine_learning"
    assert settings_in(page)["mlflow.assistant.fab.autoOpenedOnFirstLoad_v1"] is True
    assert page.index("<script>") < page.index("<meta")
    assert "localStorage.getItem(name) === null" in page  # what somebody chose stays


def test_an_address_without_a_page_leads_to_the_start():
    assert 'if (!location.hash && "#/x") location.replace("#/x");' in with_settings(PAGE, {}, "#/x")


def test_no_name_of_a_user_ends_the_script():
    page = with_settings(PAGE, {"</script><b>": ["</script>"]}, "")
    assert page.count("</script>") == 1
    assert settings_in(page)["</script><b>"] == ["</script>"]


def test_a_studys_table_has_the_columns_of_its_best_trials(studies):
    settings = shown_columns(studies, most=9)
    table = settings['MLflowLocalStorage-1.1-ExperimentPage-["2"]-ReactComponentState']
    assert table["selectedColumns"][:2] == ["tags.`search.state`", "metrics.`cv_loss`"]


def test_all_studies_together_have_names_and_the_scores_of_each(studies):
    settings = shown_columns(studies, most=0)
    [(key, table)] = settings.items()
    assert key == 'MLflowLocalStorage-1.1-ExperimentPage-["10","2"]-ReactComponentState'
    columns = table["selectedColumns"]
    assert columns[0] == "attributes.`Experiment Name`"
    assert {"metrics.`cv_accuracy`", "metrics.`cv_loss`", "tags.`search.state`"} <= set(columns)


def test_a_view_that_somebody_saved_in_another_way_is_passed_over(studies):
    tag = TAG_PREFIX + BEST
    for broken in ("{}", json.dumps({"name": "x", "state": "deflate;AAAA"})):
        assert shown_columns({"1": studies["2"] | {tag: broken}}, most=9) == {}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:starlette.middleware.wsgi")  # MLflow's own import
def test_a_store_that_cannot_be_read_leaves_mlflows_own_page(tmp_path, monkeypatch):
    from mlflow.server import app

    (tmp_path / "mlflow.db").write_text("this is no database, but a text of some length")
    monkeypatch.setenv(STORE, f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setitem(app.view_functions, "serve", app.view_functions["serve"])
    create_app()
    answer = app.test_client().get("/")
    assert (answer.status_code, "localStorage" in answer.text) == (200, True)
