import pytest

from search.model_card import model_card
from tests.studies import StudyBuilder
from tracking.records import ModelExported


def card(study: StudyBuilder) -> str:
    export = ModelExported(
        at=1.0,
        trial=0,
        folder="/exports/x",
        model_sha256="0" * 64,
        curves=[],
        train_seconds=1.0,
        model_parameters=9000,
        requirements=["keras==3.15.1"],
    )
    return model_card(study.history, export, None)


@pytest.fixture
def study():
    study = StudyBuilder()
    study.session()
    study.complete_trial(0)
    return study


def test_it_names_what_was_searched_for(study):
    assert "in search of the largest `cv_accuracy` (mean accuracy over the folds)." in card(study)


def test_it_names_two_objectives_with_their_scores():
    study = StudyBuilder(objective="cv_loss,latency_ms")
    study.session()
    study.complete_trial(0, scores={"latency_ms": 3.126})
    text = card(study)
    assert "the smallest `cv_loss` (mean cross-entropy over the folds) and the smallest" in text
    assert "| mean cross-entropy over the folds | 0.5000 |" in text
    assert "| milliseconds to predict one sample by itself | 3.13 |" in text


def test_a_confirmed_score_stands_beside_the_one_it_was_chosen_by(study):
    assert "further folds" not in card(study)
    study.confirm_trial(0, level=0.78)
    text = card(study)
    assert "| cross-validated accuracy (mean over folds) | 0.8000 |" in text
    assert "| accuracy on 4 further folds | 0.7800 ± 0.0040 |" in text
    assert "took no part in the search" in text
