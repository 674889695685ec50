import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.studies import StudyBuilder
from tracking.mlflow.sink import MlflowSink, open_store
from tracking.records import ModelExported, StudyRenamed, TestSetOpened

pytestmark = pytest.mark.slow  # a real store

NAME = "lenet-digits"


class Export:
    """An export folder as `export` writes it, its `model.keras` made without Keras."""

    def __init__(self, folder, batch_shape=(None, 4, 4, 1)):
        self.folder = folder
        folder.mkdir()
        layer = {
            "class_name": "InputLayer",
            "config": {"batch_shape": batch_shape, "dtype": "float32"},
        }
        with zipfile.ZipFile(folder / "model.keras", "w") as archive:
            archive.writestr("config.json", json.dumps({"config": {"layers": [layer]}}))
            archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        (folder / "MODEL_CARD.md").write_text("# Card")

    @property
    def sha256(self):
        return hashlib.sha256((self.folder / "model.keras").read_bytes()).hexdigest()

    def exported(self, study, trial=1, sha256=None, **fields):
        study.add(
            ModelExported,
            trial=trial,
            folder=str(self.folder),
            model_sha256=sha256 or self.sha256,
            curves=[{"loss": 1.0, "accuracy": 0.5}, {"loss": 0.5, "accuracy": 0.8}],
            train_seconds=4.0,
            model_parameters=504_342,
            requirements=["keras==3.15.1", "tensorflow==2.21.0"],
            summary="Model: lenet",
            **fields,
        )

    def opened(self, study, trial=1, by="export", accuracy=0.9):
        study.add(
            TestSetOpened,
            trial=trial,
            by=by,
            model_sha256=self.sha256,
            accuracy=accuracy,
            loss=0.3,
            macro_f1=0.88,
            confusion=[[9, 1, 0], [0, 10, 0], [1, 0, 9]],
            report={"accuracy": accuracy},
        )


@pytest.fixture
def client(tracking_uri):
    return open_store(tracking_uri, artifacts=None).client


@pytest.fixture
def sink(tracking_uri, tmp_path):
    return MlflowSink(tracking_uri, artifacts=tmp_path / "artifacts", folder=tmp_path)


@pytest.fixture
def export(tmp_path):
    return Export(tmp_path / "best")


def final_runs(client):
    experiment = client.get_experiment_by_name(NAME)
    return client.search_runs([experiment.experiment_id], "tags.`search.kind` = 'final'")


def models(client):
    return client.search_logged_models([client.get_experiment_by_name(NAME).experiment_id])


def test_the_final_run_has_the_test_scores_and_the_training(client, sink, export, study, apply_all):
    study.every_kind_of_trial()
    export.exported(study)
    export.opened(study)
    apply_all(sink, study.records)
    [run] = final_runs(client)
    assert run.info.run_name == "final model of trial 1 · lenet-digits"
    assert run.info.status == "FINISHED"
    expected = {"test_accuracy": 0.9, "test_loss": 0.3, "test_macro_f1": 0.88, "loss": 0.5}
    assert expected.items() <= run.data.metrics.items()
    assert run.data.params["filters"] == "33"
    files = {entry.path for entry in client.list_artifacts(run.info.run_id)}
    assert {
        "confusion_matrix.png",
        "confusion_matrix.json",
        "classification_report.json",
        "curves.png",
        "model_summary.txt",
        "MODEL_CARD.md",
    } <= files


def test_the_model_is_filed_byte_for_byte_with_signature_and_requirements(
    client, sink, export, study, apply_all, tmp_path
):
    study.every_kind_of_trial()
    export.exported(study)
    apply_all(sink, study.records)
    [model] = models(client)
    assert str(model.status) == "READY"
    folder = tmp_path / "artifacts" / NAME / "models" / model.model_id / "artifacts"
    stored = (folder / "data" / "model.keras").read_bytes()
    assert hashlib.sha256(stored).hexdigest() == export.sha256
    assert "keras==3.15.1" in (folder / "requirements.txt").read_text().split()
    signature = yaml.safe_load((folder / "MLmodel").read_text())["signature"]
    assert json.loads(signature["inputs"])[0]["tensor-spec"]["shape"] == [-1, 4, 4, 1]
    assert json.loads(signature["outputs"])[0]["tensor-spec"]["shape"] == [-1, 3]
    [run] = final_runs(client)
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]


def test_the_champion_is_registered_once_however_often_the_record_is_applied(
    client, sink, export, study, apply_all, tracking_uri, tmp_path
):
    study.every_kind_of_trial()
    export.exported(study)
    export.opened(study)
    apply_all(sink, study.records)
    apply_all(sink, study.records)
    another = MlflowSink(tracking_uri, artifacts=tmp_path / "artifacts", folder=tmp_path)
    apply_all(another, study.records)
    assert len(final_runs(client)) == len(models(client)) == 1
    [version] = client.search_model_versions(f"name = '{NAME}'")
    assert client.get_model_version_by_alias(NAME, "champion").version == version.version
    assert len(client.get_metric_history(final_runs(client)[0].info.run_id, "test_loss")) == 1


def test_a_second_export_becomes_the_champion(client, sink, export, study, apply_all, tmp_path):
    study.every_kind_of_trial()
    export.exported(study)
    other = Export(tmp_path / "other", batch_shape=(None, 5, 5, 1))
    other.exported(study, trial=0)
    apply_all(sink, study.records)
    assert len(final_runs(client)) == 2
    champion = client.get_model_version_by_alias(NAME, "champion")
    assert champion.tags["search.trial"] == "0"


def test_a_version_says_what_it_averages_and_on_how_many_samples_it_was_trained(
    client, sink, export, study, apply_all
):
    study.every_kind_of_trial()
    members = [{"trial": 1, "seeds": [5, 6], "weight": 1.0, "epochs": [2, 2]}]
    export.exported(study, models=2, members=members, samples=60_000, epochs=2)
    apply_all(sink, study.records)
    version = client.get_model_version_by_alias(NAME, "champion")
    assert "The average of 2 models: trial 1 x 2 seeds, trained on 60,000 samples." in (
        version.description
    )
    assert version.tags["search.samples"] == "60000"
    assert version.tags["search.averages"] == "2 models: trial 1 x 2 seeds"


def test_a_version_says_its_scores_its_date_and_whose_params_it_has(
    client, sink, export, study, apply_all
):
    study.every_kind_of_trial()
    export.exported(study)
    apply_all(sink, study.records)
    scores = "cv_accuracy 0.8500 ± 0.0100 over 2 folds"
    rest = "; exported 2026-09-21 14:14 UTC, params of trial 1 of lenet-digits."
    version = client.get_model_version_by_alias(NAME, "champion")
    assert version.description == scores + rest
    assert version.tags["search.score"] == scores
    [before] = final_runs(client)
    export.opened(study)
    export.opened(study, by="evaluate")
    apply_all(sink, study.records)
    version = client.get_model_version_by_alias(NAME, "champion")
    assert version.description == f"{scores}, test accuracy 0.9000{rest}"
    assert version.tags["search.test_score"] == "test accuracy 0.9000"
    [after] = final_runs(client)  # however often the test set was opened since
    assert after.info.end_time - after.info.start_time == 4000
    assert after.info.end_time == before.info.end_time
    assert "champion" in client.get_registered_model(NAME).description


@pytest.fixture
def three(study, tmp_path):
    """Exports: the champion, a challenger, and another champion."""
    study.every_kind_of_trial()
    for number, alias in enumerate(("champion", "challenger", "champion")):
        made = Export(tmp_path / f"export-{number}", batch_shape=(None, 4 + number, 4, 1))
        made.exported(study, trial=number % 2, alias=alias, alias_reason=f"Reason {number}.")
    return study


def aliases(client):
    found = {}
    for alias in ("champion", "challenger"):
        version = client.get_model_version_by_alias(NAME, alias)
        found[alias] = (int(version.version), version.description.rpartition(". ")[2])
    return found


def test_an_alias_is_that_of_the_last_record_that_gave_it(client, sink, three, apply_all):
    apply_all(sink, three.records)
    assert aliases(client) == {"champion": (3, "Reason 2."), "challenger": (2, "Reason 1.")}
    told = [
        (run.data.tags["search.alias"], run.data.tags["search.alias_reason"])
        for run in final_runs(client)
    ]
    assert sorted(told) == [
        ("challenger", "Reason 1."),
        ("champion", "Reason 0."),
        ("champion", "Reason 2."),
    ]


def test_a_renamed_studys_exports_are_versions_of_the_model_it_had(
    client, sink, three, apply_all, tmp_path
):
    apply_all(sink, three.records[:-1])
    three.add(StudyRenamed, study="new")
    Export(tmp_path / "later").exported(three, alias="champion", alias_reason="Later.")
    apply_all(sink, three.records)
    assert [model.name for model in client.search_registered_models()] == [NAME]
    assert client.get_experiment_by_name(NAME) is None
    champion = client.get_model_version_by_alias(NAME, "champion")
    assert (int(champion.version), champion.tags["search.study"]) == (4, "new")
    assert champion.description.endswith("Later.")
    # As everything is told to a server that has nothing yet.
    elsewhere = f"sqlite:///{tmp_path}/elsewhere.db"
    apply_all(MlflowSink(elsewhere, artifacts=tmp_path / "else", folder=tmp_path), three.records)
    [model] = open_store(elsewhere, artifacts=None).client.search_registered_models()
    assert model.aliases["champion"] == 4


def test_a_name_that_a_renamed_study_has_left_is_not_taken_from_its_model(
    client, sink, export, study, apply_all, tracking_uri, tmp_path
):
    study.every_kind_of_trial()
    export.exported(study, alias="champion")
    study.add(StudyRenamed, study="new")
    apply_all(sink, study.records)
    other = StudyBuilder(NAME, study_id="f" * 32).every_kind_of_trial()
    Export(tmp_path / "other").exported(other, alias="champion")
    again = MlflowSink(tracking_uri, artifacts=tmp_path / "artifacts", folder=tmp_path)
    apply_all(again, other.records)
    names = {model.name for model in client.search_registered_models()}
    assert names == {NAME, f"{NAME}-ffffffff"}


def test_old_records_applied_again_move_no_alias_back(client, sink, three, apply_all):
    apply_all(sink, three.records)
    before = aliases(client)
    apply_all(sink, three.records[:-2])  # up to the first export
    assert aliases(client) == before
    apply_all(sink, three.records[:-1])
    assert aliases(client) == before


def test_what_somebody_promoted_by_hand_outlives_older_records(client, sink, three, apply_all):
    apply_all(sink, three.records[:-1])
    client.set_registered_model_alias(NAME, "champion", "2")
    apply_all(sink, three.records[:-2])
    assert int(client.get_model_version_by_alias(NAME, "champion").version) == 2


def test_a_challenger_alone_makes_no_champion(client, sink, export, study, apply_all):
    study.every_kind_of_trial()
    export.exported(study, alias="challenger")
    apply_all(sink, study.records)
    assert client.get_registered_model(NAME).aliases == {"challenger": 1}


def test_a_saved_model_is_what_is_served_and_the_keras_file_lies_beside_it(
    client, sink, export, study, apply_all, tmp_path
):
    (export.folder / "saved_model" / "variables").mkdir(parents=True)
    (export.folder / "saved_model" / "saved_model.pb").write_bytes(b"graph")
    study.every_kind_of_trial()
    study.records[0].dataset["kind"] = "table"
    entry = {"format": "saved_model", "file": "saved_model", "raw_shape": [5]}
    export.exported(study, formats=[{"format": "keras", "file": "model.keras"}, entry])
    apply_all(sink, study.records)
    [model] = models(client)
    folder = tmp_path / "artifacts" / NAME / "models" / model.model_id / "artifacts"
    document = yaml.safe_load((folder / "MLmodel").read_text())
    assert document["flavors"]["python_function"]["loader_module"] == "mlflow.tensorflow"
    assert (folder / "tf2model" / "saved_model.pb").read_bytes() == b"graph"
    assert (folder / "data" / "model.keras").is_file()
    [taken] = json.loads(document["signature"]["inputs"])
    assert taken["tensor-spec"] == {"dtype": "float32", "shape": [-1, 5]}


@pytest.mark.parametrize(
    ("more", "flavor", "taken"),
    [
        (
            {"raw_shape": [3], "raw_type": "float64"},
            "tf2-module",
            [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}}],
        ),
        (
            {
                "raw_shape": [],
                "tensors": [
                    {"name": "age", "column": "age", "type": "float64"},
                    {"name": "home_city", "column": "home city", "type": "str"},
                ],
            },
            "tf1-estimator",
            [
                {
                    "name": "age",
                    "type": "tensor",
                    "tensor-spec": {"dtype": "float64", "shape": [-1]},
                },
                {
                    "name": "home_city",
                    "type": "tensor",
                    "tensor-spec": {"dtype": "str", "shape": [-1]},
                },
            ],
        ),
    ],
)
def test_rows_are_served_as_the_saved_model_takes_them(
    client, sink, export, study, apply_all, tmp_path, more, flavor, taken
):
    (export.folder / "saved_model").mkdir()
    study.every_kind_of_trial()
    study.records[0].dataset["kind"] = "table"
    entry = {"format": "saved_model", "file": "saved_model"} | more
    export.exported(study, formats=[{"format": "keras", "file": "model.keras"}, entry])
    apply_all(sink, study.records)
    [model] = models(client)
    folder = tmp_path / "artifacts" / NAME / "models" / model.model_id / "artifacts"
    document = yaml.safe_load((folder / "MLmodel").read_text())
    assert document["flavors"]["tensorflow"]["model_type"] == flavor
    assert json.loads(document["signature"]["inputs"]) == taken


def test_the_test_set_opened_again_counts_but_adds_no_point(client, sink, export, study, apply_all):
    study.every_kind_of_trial()
    export.exported(study)
    export.opened(study)
    export.opened(study, by="evaluate")
    apply_all(sink, study.records)
    [run] = final_runs(client)
    assert run.data.tags["search.test_openings"] == "2"
    assert len(client.get_metric_history(run.info.run_id, "test_accuracy")) == 1
    note = client.get_experiment_by_name(NAME).tags["mlflow.note.content"]
    assert "opened 2 times" in note


@pytest.mark.parametrize("fate", ["gone", "overwritten"])
def test_an_export_that_is_no_longer_there_is_said_and_never_registered(
    client, sink, export, study, apply_all, fate
):
    study.every_kind_of_trial()
    export.exported(study, sha256=None if fate == "gone" else "0" * 64)
    if fate == "gone":
        (export.folder / "model.keras").unlink()
    apply_all(sink, study.records)
    assert models(client) == []
    assert "no longer" in final_runs(client)[0].data.tags["search.model"]


def test_a_registered_model_of_somebody_else_is_left_alone(client, sink, export, study, apply_all):
    client.create_registered_model(NAME)
    study.every_kind_of_trial()
    export.exported(study)
    apply_all(sink, study.records)
    assert list(client.search_model_versions(f"name = '{NAME}'")) == []
    assert client.get_model_version_by_alias(f"{NAME}-01234567", "champion").version


def test_a_model_whose_several_inputs_have_no_names_is_filed_without_a_signature(export, tmp_path):
    from tracking.mlflow.models import signature

    layers = [{"class_name": "InputLayer", "config": {"batch_shape": [None, 4]}}] * 2
    path = tmp_path / "two.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({"config": {"layers": layers}}))
    assert signature(path, 3) is None
    assert signature(export.folder / "model.keras", 3) is not None


def test_a_model_whose_config_means_something_else_by_layers_is_filed(tmp_path):
    from tracking.mlflow.models import signature

    for number, config in enumerate(({"layers": [64, 32]}, {"layers": 3}, {"layers": None}, [])):
        path = tmp_path / f"{number}.keras"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", json.dumps({"config": config}))
        assert signature(path, 3) is None


def test_the_version_says_which_code_a_model_with_parts_of_its_own_needs(
    client, sink, export, study, apply_all
):
    study.every_kind_of_trial()
    keras = {"format": "keras", "file": "model.keras", "own": ["ada>Scale"]}
    export.exported(study, formats=[keras], alias_reason="It is the first.")
    apply_all(sink, study.records)
    version = client.get_model_version_by_alias(NAME, "champion")
    needed = "`model.keras` holds ada>Scale: import the code of space lenet before"
    assert f"of lenet-digits. It is the first. {needed}" in version.description
    assert version.tags["search.needs"].startswith(needed)


# Keras 3.15 reads its variables in a way that NumPy 2 deprecates.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_real_model_comes_back_through_mlflow(
    client, sink, study, apply_all, tmp_path, tracking_uri, monkeypatch
):
    keras = pytest.importorskip("keras")
    import mlflow

    model = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")]
    )
    folder = tmp_path / "real"
    folder.mkdir()
    model.save(folder / "model.keras")
    export = Export.__new__(Export)
    export.folder = folder
    study.every_kind_of_trial()
    export.exported(study)
    apply_all(sink, study.records)
    images = np.random.default_rng(0).random((2, 4, 4, 1)).astype("float32")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
    champion = mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(champion.predict(images), expected, rtol=1e-6)
    again = mlflow.keras.load_model(f"models:/{NAME}@champion")
    np.testing.assert_allclose(again.predict(images, verbose=0), expected, rtol=1e-6)


def test_numbers_have_a_signature_scores_and_a_description_of_their_own(
    client, sink, export, study, apply_all
):
    first = study.records[0]
    study.records[0] = replace(
        first, task="regression", dataset={**first.dataset, "classes": ["price", "age"]}
    )
    study.session()
    study.complete_trial(1)
    keras = {"format": "keras", "file": "model.keras", "bytes": 9, "difference": 0.0}
    export.exported(study, formats=[keras | {"returns": "float64"}])
    study.add(
        TestSetOpened,
        trial=1,
        by="export",
        model_sha256=export.sha256,
        scores={"rmse": 12.5, "r2": 0.75},
        report={"numbers": {}},
        samples=40,
    )
    apply_all(sink, study.records)
    [run] = final_runs(client)
    assert {"test_rmse": 12.5, "test_r2": 0.75}.items() <= run.data.metrics.items()
    assert "test_accuracy" not in run.data.metrics
    [model] = models(client)
    [version] = client.search_model_versions(f"name = '{NAME}'")
    assert version.description.endswith("It predicts price, age in the targets' own unit.")
    described = yaml.safe_load(
        (Path(model.artifact_location.removeprefix("file://")) / "MLmodel").read_text()
    )
    [returned] = json.loads(described["signature"]["outputs"])
    assert returned["tensor-spec"] == {"dtype": "float64", "shape": [-1, 2]}
