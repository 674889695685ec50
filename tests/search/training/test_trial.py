"""What a worker tells of a trial beside its scores: what `export` would refuse, why it failed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from search.data import load
from search.data.folds import make_folds
from search.data.inputs import make_inputs
from search.executors.protocol import GO_ON, TrialTask
from spaces import get_space
from tracking.home import StudyFolder
from tracking.records import EpochEnded, Notice, TrialEnded

pytestmark = pytest.mark.slow  # TensorFlow


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    from search.training.building import Models
    from search.training.fold_data import Bench

    dataset = load("digits", home=tmp_path_factory.mktemp("home"))
    space = get_space("mlp")
    return Bench(
        space=space,
        kind=dataset.kind,
        inputs=make_inputs(dataset, space.input_for("image")),
        labels=np.asarray(dataset.train_labels),
        classes=dataset.classes,
        folds=make_folds(dataset.train_labels, folds=2, seed=0, limit_samples=120),
        further=None,
        folder=StudyFolder(tmp_path_factory.mktemp("study")),
        seed=7,
        objectives=("cv_accuracy",),
        models=Models(space, None, expected={}, seed=7),
    )


def evaluated(bench: Any, build: Any, trials: int = 1) -> list[Any]:
    """Return the records of so many trials of what `build` makes."""
    from search.training.building import Models
    from search.training.trial import evaluate_trial

    space = replace(bench.space, build=build)
    bench = replace(bench, space=space, models=Models(space, None, expected={}, seed=7))
    setting = dict(bench.space.complete({}) | {"epochs": 2, "batch_size": 32})
    records: list[Any] = []

    def keep(record: Any) -> Any:
        records.append(record)
        return GO_ON

    for trial in range(trials):
        evaluate_trial(bench, TrialTask(trial, setting, (1, 2)), keep)
    return records


def with_layer(layer: Any) -> Any:
    def build(_: Any, data: Any) -> Any:
        from keras import Sequential, layers

        parts = [layers.Input(data.input_shape), layers.Rescaling(1 / 255), layers.Flatten()]
        return Sequential([*parts, layer(), layers.Dropout(0.3), layers.Dense(10, "softmax")])

    return build


def of(kind: type, records: list[Any]) -> list[Any]:
    return [record for record in records if isinstance(record, kind)]


def test_what_export_would_refuse_is_told_once_and_before_any_training(bench):
    from keras import layers

    class Own(layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    records = evaluated(bench, with_layer(Own), trials=2)
    [notice] = of(Notice, records)
    assert records[0] is notice
    assert notice.text.startswith("`export` will refuse the models of this space")
    assert "class 'Own' is not registered with Keras" in notice.text
    assert [ended.state for ended in of(TrialEnded, records)] == ["complete", "complete"]


def test_trying_a_model_changes_nothing_in_its_training(bench, monkeypatch):
    from keras import layers

    from search.training.fold_data import Bench

    tried = evaluated(bench, with_layer(layers.ReLU))
    assert of(Notice, tried) == []
    monkeypatch.setattr(Bench, "export_doubt", lambda self, setting: "")
    untried = evaluated(bench, with_layer(layers.ReLU))
    found, expected = ([e.metrics for e in of(EpochEnded, each)] for each in (tried, untried))
    assert len(found) == 4
    assert found == expected


def test_a_model_that_cannot_be_built_fails_its_trial_alone(bench):
    def build(_: Any, data: Any) -> Any:
        raise ValueError("no such thing")

    records = evaluated(bench, build)
    assert of(Notice, records) == []
    assert records[-1].reason == "ValueError: no such thing"


def test_a_trial_that_fails_within_a_layer_tells_the_cause(bench):
    from keras import layers

    class Shut(layers.Layer):
        def call(self, x: Any, training: bool = False) -> Any:
            if training:
                raise ValueError("the gate must be open; it is 0.3")
            return x

    records = evaluated(bench, with_layer(Shut))
    assert records[-1].state == "failed"
    assert records[-1].reason == "ValueError: the gate must be open; it is 0.3"
    assert "Shut.call()" in records[-1].error
