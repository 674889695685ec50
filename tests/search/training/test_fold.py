"""What a worker tells of a fold beside its scores: what `export` would refuse, why it failed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from search.data import load
from search.data.inputs import make_inputs
from search.data.splits import make_folds
from search.executors.protocol import GO_ON, FoldTask
from spaces import get_space
from tracking.home import StudyFolder
from tracking.records import EpochEnded, FoldEnded, Notice

pytestmark = pytest.mark.slow  # TensorFlow


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    from search.training.building import Models
    from search.training.fold_data import FoldData

    dataset = load("digits", home=tmp_path_factory.mktemp("home"))
    space = get_space("mlp")
    return FoldData(
        space=space,
        kind=dataset.kind,
        inputs=make_inputs(dataset, space.input_for("image")),
        labels=np.asarray(dataset.train_labels),
        task=dataset.task,
        folds=make_folds(dataset.train_labels, folds=2, seed=0, limit_samples=120),
        confirmation_folds=None,
        folder=StudyFolder(tmp_path_factory.mktemp("study")),
        seed=7,
        objectives=("cv_accuracy",),
        models=Models(space, None, expected={}, seed=7),
    )


def trained(data: Any, build: Any, trials: int = 1) -> list[Any]:
    """Return the records of two folds each of so many trials of what `build` makes."""
    from search.training.building import Models
    from search.training.fold import train_fold

    space = replace(data.space, build=build)
    data = replace(data, space=space, models=Models(space, None, expected={}, seed=7))
    params = dict(data.space.complete({}) | {"epochs": 2, "batch_size": 32})
    records: list[Any] = []

    def keep(record: Any) -> Any:
        records.append(record)
        return GO_ON

    for trial in range(trials):
        for fold in (1, 2):
            train_fold(data, FoldTask(trial, params, fold), keep)
    return records


def with_layer(layer: Any) -> Any:
    def build(_: Any, data: Any) -> Any:
        from keras import Sequential, layers

        parts = [layers.Input(data.input_shape), layers.Rescaling(1 / 255), layers.Flatten()]
        return Sequential([*parts, layer(), layers.Dropout(0.3), layers.Dense(10, "softmax")])

    return build


def of(kind: type, records: list[Any]) -> list[Any]:
    return [record for record in records if isinstance(record, kind)]


def test_what_export_would_refuse_is_told_once_and_before_any_training(data):
    from keras import layers

    class Own(layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    records = trained(data, with_layer(Own), trials=2)
    [notice] = of(Notice, records)
    assert records[1] is notice
    assert notice.text.startswith("`export` will refuse the models of this space")
    assert "class 'Own' is not registered with Keras" in notice.text
    assert len(of(FoldEnded, records)) == 4
    beside = replace(data, tries_exports=False)  # another worker of the machine
    assert of(Notice, trained(beside, with_layer(Own))) == []


def test_trying_a_model_changes_nothing_in_its_training(data, monkeypatch):
    from keras import layers

    from search.training.fold_data import FoldData

    tried = trained(data, with_layer(layers.ReLU))
    assert of(Notice, tried) == []
    monkeypatch.setattr(FoldData, "export_doubt", lambda self, params: "")
    untried = trained(data, with_layer(layers.ReLU))
    found, expected = ([e.metrics for e in of(EpochEnded, each)] for each in (tried, untried))
    assert len(found) == 4
    assert found == expected


def test_a_model_that_cannot_be_built_breaks_off_its_fold_alone(data):
    def build(_: Any, data: Any) -> Any:
        raise ValueError("no such thing")

    records = trained(data, build)
    assert of(Notice, records) == []
    assert records[-1].reason == "ValueError: no such thing"


def test_a_fold_that_fails_within_a_layer_tells_the_cause(data):
    from keras import layers

    class Shut(layers.Layer):
        def call(self, x: Any, training: bool = False) -> Any:
            if training:
                raise ValueError("the gate must be open; it is 0.3")
            return x

    records = trained(data, with_layer(Shut))
    assert records[-1].cause == "error"
    assert records[-1].reason == "ValueError: the gate must be open; it is 0.3"
    assert "Shut.call()" in records[-1].error


@pytest.mark.parametrize(
    ("beside", "why"),
    [
        ("groups", "each of its 1 groups has all samples of a class"),
        ("time", "all its samples are of one moment"),
    ],
)
def test_a_training_part_is_cut_further_by_groups_and_time(data, beside, why):
    from search.training.fold import train_fold

    alike = replace(data.folds, **{beside: np.zeros(len(data.labels), np.int64)})
    params = dict(data.space.complete({}) | {"epochs": 1, "early_stopping": True})
    records: list[Any] = []

    def keep(record: Any) -> Any:
        records.append(record)
        return GO_ON

    train_fold(replace(data, folds=alike), FoldTask(0, params, 1), keep)
    assert why in records[-1].reason
    records.clear()
    apart = replace(data.folds, **{beside: np.arange(len(data.labels))})
    train_fold(replace(data, folds=apart), FoldTask(0, params, 1), keep)
    assert isinstance(records[-1], FoldEnded)
