from dataclasses import replace
from html import escape

import pytest
import yaml
from markdown_it import MarkdownIt

from search.export.card import model_card
from spaces import short_text
from tests.studies import MultiLabelStudyBuilder, RegressionStudyBuilder, StudyBuilder
from tracking.objectives import Objective
from tracking.records import ModelExported, TestSetOpened, TrialStarted


def card(
    study: StudyBuilder,
    confusion: list[list[int]] | None = None,
    test: TestSetOpened | None = None,
    **fields: object,
) -> str:
    given = {
        "at": 1.0,
        "trial": 0,
        "folder": "/exports/x",
        "model_sha256": "0" * 64,
        "curves": [],
        "train_seconds": 1.0,
        "model_parameters": 9000,
        "requirements": ["keras==3.15.1"],
    }
    if confusion is not None:
        right = sum(row[n] for n, row in enumerate(confusion))
        test = TestSetOpened(
            at=2.0,
            trial=0,
            by="export",
            model_sha256="0" * 64,
            accuracy=right / sum(map(sum, confusion)),
            loss=0.3,
            macro_f1=0.8,
            confusion=confusion,
            report={},
        )
    return model_card(study.history, ModelExported(**given | fields), test)


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
    assert "confirmation folds" not in card(study)
    study.confirm_trial(0, level=0.78)
    text = card(study)
    assert "| cross-validated accuracy (mean over folds) | 0.8000 | " in text
    assert "| accuracy on 4 confirmation folds | 0.7800 ± 0.0040 |" in text
    assert "had no part in the search" in text


def test_scores_stand_with_their_intervals(study):
    text = card(study, [[40, 5, 5], [0, 50, 0], [0, 0, 0]])
    # Folds 0.801 and 0.802; t(0.975, 1) sqrt((1/2 + 1) 5e-7) = 12.706 x 8.66025e-4 = 0.0110.
    assert "| 0.8000 | 0.7905 to 0.8125 |" in text
    assert "| test accuracy | 0.9000 | 0.8256 to 0.9448 |" in text  # Wilson, 90 of 100
    assert "| test samples | 100 |" in text
    assert "| times the study's test set was opened | 0 |" in text
    assert "| T-shirt/top | 40 | 5 | 5 |" in text


def test_limits_say_how_the_classes_count(study):
    text = card(study, [[40, 5, 5], [0, 50, 0], [0, 0, 0]])
    assert "The test set has no sample of Bag." in text
    assert "The test set's classes have 50 samples each." in text
    assert "Its lowest recall is that of T-shirt/top: 0.8000." in text
    uneven = card(study, [[90, 0, 0], [5, 5, 0], [0, 0, 10]])
    assert (
        "10 (Trouser) to 90 (T-shirt/top) samples: accuracy mostly reflects T-shirt/top" in uneven
    )
    assert "always predicting it would score 0.8182" in uneven
    assert "Its lowest recall is that of Trouser: 0.5000." in uneven


def test_formats_stand_with_what_goes_in_and_how_far_off_they_are(study):
    formats = [
        {
            "format": "onnx",
            "file": "model.onnx",
            "bytes": 12345,
            "difference": 3.2e-8,
            "takes": "images 8 x 8 x 1",
            "runtime": "onnxruntime==1.31.1",
        }
    ]
    text = card(study, formats=formats)
    row = "| `model.onnx` | images 8 x 8 x 1 | onnxruntime==1.31.1 | 12,345 | 3.2e-08 |"
    assert row in text
    assert "$ foldwise export lenet-digits --trial 0 --format onnx" in text


def test_it_says_how_to_make_the_model_again(study):
    text = " ".join(card(study).replace("\\\n", " ").split())
    assert "$ foldwise run --study lenet-digits --space lenet --dataset digits" in text
    assert "$ foldwise export lenet-digits --trial 0 ```" in text
    assert f"| git commit | {'f' * 40}, with uncommitted changes |" in text


def test_an_ensemble_says_that_it_is_one(study):
    members = [{"trial": 0, "seeds": [5, 6], "weight": 1.0, "epochs": [3, 3]}]
    text = card(study, models=2, members=members, samples=1437, epochs=3)
    assert "The average of the probabilities of 2 models: trial 0 x 2 seeds, in one" in text
    assert "The scores over folds are those of single models." in text
    assert "export lenet-digits --trial 0 --refits 2" in text


def test_members_of_several_trials_stand_with_their_weights(study):
    members = [
        {"trial": 0, "seeds": [5], "weight": 0.75, "epochs": [3]},
        {"trial": 4, "seeds": [5], "weight": 0.25, "epochs": [2]},
    ]
    text = card(study, models=2, members=members, samples=1437, epochs=3)
    assert "2 models: trial 0 (75%), trial 4 (25%)" in text
    assert "export lenet-digits --ensemble 2" in text


def test_it_says_on_how_many_samples_it_was_trained(study):
    used = study.history.known_study().dataset["samples"]
    assert "The model was trained on all of them, for 3 epochs" in card(
        study, samples=used, epochs=3
    )
    more = card(study, samples=used + 1000, epochs=3)
    assert f"{used + 1000:,} training samples" in more
    assert f"The search used {used:,} of them; the model was trained on {used + 1000:,}" in more
    assert "--searched-samples" not in more
    assert "--searched-samples" in card(study, samples=used, searched_samples=True)


def test_an_average_of_folds_models_of_an_earlier_version_still_says_so(study):
    text = card(study, models=2)
    assert "The average of the probabilities of 2 models, one a fold, in one Keras model" in text
    assert "trained on all of them except its fold's validation part" in text


def test_the_standing_is_told_with_its_reason(study):
    text = card(study, alias="challenger", alias_reason="It is worse.")
    assert "In MLflow this model became the **challenger**. It is worse." in text


def test_rows_of_numbers_go_into_a_saved_model_as_float64(study):
    served = {"format": "saved_model", "file": "saved_model", "bytes": 9, "difference": 0.0}
    study.records[0].dataset["kind"] = "table"
    text = card(study, formats=[served | {"raw_shape": [3], "raw_type": "float64"}])
    assert "model.serve(rows)  # one row of probabilities for each row" in text
    assert "in float32 they have 7 digits" in text
    assert "NaN is a missing value." in text
    assert "search.export.predict.encode_rows(FOLDER, FRAME)" in text
    assert "model.serve" not in card(study, formats=[served])  # written by an earlier version


def test_rows_with_words_go_into_a_saved_model_column_by_column(study):
    tensors = [
        {"name": "age__years_", "column": "age (years)", "type": "float64"},
        {"name": "city", "column": "city", "type": "str"},
    ]
    served = {"format": "saved_model", "file": "saved_model", "bytes": 9, "difference": 0.0}
    study.records[0].dataset["kind"] = "table"
    text = card(study, formats=[served | {"raw_shape": [], "tensors": tensors}])
    assert 'model.serve({"age__years_": [1.5, 2.0], "city": ["a", ""]})' in text
    assert "| age (years) | `age__years_` |" in text
    assert "| city | city |" not in text
    assert "a blank text" in text
    many = [{"name": f"c{n}", "column": f"c{n}", "type": "float64"} for n in range(50)]
    text = card(study, formats=[served | {"raw_shape": [], "tensors": many}])
    assert '"c7": [1.5, 2.0], ...})' in text
    assert "its tensor" not in text


def test_names_that_hold_bars_or_lines_break_no_table():
    study = StudyBuilder()
    study.records[0].dataset["classes"] = ["a|b", "two\nlines", "c"]
    study.session()
    study.complete_trial(0)
    text = card(study, [[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert "|  | a\\|b | two lines | c |" in text


def test_the_code_that_own_parts_need_is_named(study):
    study.records[0] = replace(study.records[0], space="/home/ada/work/my_space.py:build")
    keras = {"format": "keras", "file": "model.keras", "bytes": 9, "difference": 0.0}
    own = card(study, formats=[keras | {"own": ["ada>Scale", "ada>ramp"]}])
    assert "has custom objects: `ada>Scale`, `ada>ramp`." in own
    assert "with `import my_space`" in own
    assert "`--space my_space.py:build`" in own
    assert "own parts" not in card(study, formats=[keras])


def numbers_tested() -> TestSetOpened:
    made = RegressionStudyBuilder().described(0.7)
    return TestSetOpened(
        at=2.0,
        trial=0,
        by="export",
        model_sha256="0" * 64,
        scores={"rmse": 30_123.4, "mae": 20_000.0, "r2": 0.7},
        intervals={"rmse": [28_000.0, 33_000.0]},
        samples=600,
        **made,
    )


def test_of_numbers_it_tells_errors_by_size_in_their_own_unit():
    study = RegressionStudyBuilder()
    study.session()
    study.complete_trial(0)
    keras = {"format": "keras", "file": "model.keras", "bytes": 9, "difference": 0.0}
    text = card(study, test=numbers_tested(), formats=[keras | {"returns": "float64"}], models=2)
    assert "The average of the numbers of 2 models, one a fold" in text
    assert "It predicts the number `price`." in text
    assert "| cross-validated RMSE (mean over folds) | 19850 | " in text
    assert "| test RMSE | 30123 | 28000 to 33000 |" in text
    assert "| test samples | 600 |" in text
    assert "those of the test scores are of 500 times as many test samples" in text
    assert "Wilson" not in text
    assert "Errors of `price` on the test set by its size" in text
    assert "in standard deviations of the training targets" in text
    assert "numbers in the targets' own unit" in text
    assert "The numbers are float64" in text
    assert "what a model says beyond is a guess" in text
    for word in ("class", "probabilit", "accuracy", "onfusion"):
        assert word not in text.replace("`classes`", "").replace("class_weights", "")


def test_of_labels_it_tells_each_by_itself():
    study = MultiLabelStudyBuilder()
    study.session()
    study.complete_trial(0, level=0.9)
    made = study.described(0.9)
    test = replace(numbers_tested(), scores={"macro_f1": 0.9}, intervals={}, **made)
    text = card(study, test=test)
    assert "It says for each of 4 labels whether a sample has it." in text
    assert "| cross-validated macro F1 (mean over folds) | 0.9015 | " in text
    assert "| label | samples that have it | found | missed | given wrongly | F1 |" in text
    confusion = made["report"]["confusion"]["western"]
    (_, wrong), (missed, hits) = confusion
    assert f"| western | {hits + missed} | {hits} | {missed} | {wrong} | " in text
    assert "The lowest F1 is that of western" in text


NASTY = [
    "<script>alert(1)</script>",
    "a|b",
    "`x` and ``y",
    "_both_ **bold** snake_case",
    "&lt; $1$",
]


def rendered(text: str) -> str:
    """Return a card as HTML, as pages show it that let Markdown hold HTML."""
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return str(reader.render(text))


@pytest.mark.parametrize("name", NASTY)
def test_names_are_shown_as_they_are_whatever_signs_they_hold(name):
    study = StudyBuilder()
    study.records[0].dataset.update(classes=[name, "Trouser", "Bag"], name=name, source=name)
    study.session()
    study.start_trial(0)
    study.records[-1].parameters[name] = name
    study.fold(0, 1)
    study.fold(0, 2)
    study.end_trial(0, "complete")
    page = rendered(card(study, [[90, 0, 0], [5, 5, 0], [0, 0, 0]]))
    text = escape(name, quote=True).replace("&#x27;", "'")
    for place in (
        f"<th>{text}</th>",  # of the confusion matrix
        f"accuracy mostly reflects {text}; always",
        f"for <code>{text}</code>, 9,000",
        f"<td><code>{text}</code></td>\n<td>{escape(short_text(name))}</td>",  # a parameter
    ):
        assert place in page
    assert "<script" not in page
    assert "<em>" not in page


def test_values_are_written_as_the_terminal_writes_them(study):
    trial = next(r for r in study.records if isinstance(r, TrialStarted))
    trial.parameters.update(dropout=0.30000000000000004, augmentation=False, extra=True)
    text = card(study)
    assert "| `dropout` | 0.3 |" in text
    assert "| `augmentation` | off |" in text
    assert "| `extra` | on |" in text


def test_no_folder_of_the_machine_is_told(study):
    start = study.records[0]
    start.dataset.update(name="csv:/home/ada/pets.csv", source="/home/ada/pets.csv")
    start.settings.update(dataset="csv:/home/ada/pets.csv", objective="max:/home/ada/own.py:gain")
    study.records[0] = replace(
        start,
        space="/home/ada/work/my_space.py:build",
        objectives=[Objective("cv_gain", True, "/home/ada/own.py:gain", "accuracy").to_json()],
    )
    text = card(study)
    assert "/home" not in text
    assert "of space `my_space.py:build` for `csv:pets.csv`" in text
    assert "--objective max:own.py:gain" in text
    assert "Files are named without the folders that they were in." in text


def test_its_header_is_one_that_model_hubs_read(study):
    text = card(study, [[40, 5, 5], [0, 50, 0], [0, 0, 0]])
    header = yaml.safe_load(text.split("---")[1])
    assert header["library_name"] == "keras"
    assert header["pipeline_tag"] == "image-classification"
    assert header["datasets"] == ["digits"]
    [result] = header["model-index"][0]["results"]
    accuracy = next(each for each in result["metrics"] if each["type"] == "accuracy")
    assert accuracy["value"] == 0.9
    assert accuracy["name"] == "test accuracy (95 % interval 0.8256 to 0.9448)"
    assert "model-index" not in yaml.safe_load(card(study).split("---")[1])
    study.records[0].dataset["name"] = "folder:/home/ada/<b>_pets_"
    assert yaml.safe_load(card(study).split("---")[1])["datasets"] == ["folder:<b>_pets_"]
