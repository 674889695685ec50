"""Hypermodels as a user meets them: looked at in another process, kept, replayed in this one."""

import re
import subprocess
from pathlib import Path

import pytest

from spaces import DataSpec, SpaceError, get_space, narrow
from spaces.declaring.__main__ import declare
from spaces.keras_tuner.hypermodel import check_model

DATA = DataSpec((8, 8, 1), 3)
SOURCE = '''
import sys
import keras
import keras_tuner

print("chatter")
LOW = 4

class Mine(keras_tuner.HyperModel):
    """A small model.

    With more to say."""

    def __init__(self, input_shape, classes):
        super().__init__()
        self.given = input_shape, classes

    def build(self, hp):
        print("more chatter")
        shape, classes = self.given
        layers = [keras.layers.Input(shape), keras.layers.Flatten()]
        if hp.Boolean("hidden:layer"):
            layers.append(keras.layers.Dense(hp.Int("units", LOW, 8)))
        made = keras.Sequential([*layers, keras.layers.Dense(classes, "softmax")])
        made.compile(hp.Choice("optimizer", ["sgd", "adam"]), "categorical_crossentropy")
        return made
'''


@pytest.fixture
def no_processes(monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)


def test_a_function_or_class_of_a_file_is_known_without_running_it(tmp_path, no_processes):
    (tmp_path / "net.py").write_text("raise SystemExit\ndef build(hp): ...\nclass Deep: ...\n")
    for attribute, name in (("build", "net"), ("Deep", "Deep")):
        space = get_space(f"{tmp_path}/net.py:{attribute}")
        assert (space.name, space.dataset) == (name, "fashion_mnist")
        assert space.kinds == ("image", "table", "text", "sequence", "several")
        with pytest.raises(SpaceError, match="the parameters are not known yet"):
            space.build({}, DATA)


@pytest.mark.slow
def test_code_that_ends_its_process_is_told_with_its_last_words(tmp_path):
    path = tmp_path / "net.py"
    path.write_text("import os, sys\nsys.stderr.write('bye')\nsys.stderr.flush()\nos._exit(3)\n")
    with pytest.raises(SpaceError, match="with exit code 3: bye"):
        get_space(f"{path}:MODEL")


@pytest.mark.slow
def test_a_hypermodel_is_declared_kept_replayed_and_declared_anew(tmp_path, monkeypatch):
    path, cache = tmp_path / "mine.py", tmp_path / "cache"
    path.write_text(SOURCE)
    told = []
    space = get_space(f"{path}:Mine", DATA, cache=cache, notify=told.append)
    assert space.summary == "A small model."
    assert space.compiled
    hidden, units, optimizer = space["hidden_layer"], space["units"], space["optimizer"]
    assert units.when == ("hidden_layer", True)
    assert (hidden.kind, units.describe(), optimizer.values) == ("boolean", "4..8", ("sgd", "adam"))
    assert narrow(space, {}).baselines["defaults"]["hidden_layer"] is False
    assert set(told) <= {f"Building models of {path}:Mine to find out its parameters."}

    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", None)
        kept = get_space(f"{path}:Mine", DATA, cache=cache)
    assert kept == space

    params = space.complete({"hidden_layer": True, "units": 5, "optimizer": "adam"})
    model = kept.build(params, DATA)
    assert [layer.units for layer in model.layers[1:]] == [5, 3]
    assert type(model.optimizer).__name__ == "Adam"
    assert model.compiled
    assert len(kept.build({"hidden_layer": False, "optimizer": "sgd"}, DATA).layers) == 2

    path.write_text(SOURCE.replace("LOW = 4", "LOW = 2"))
    anew = get_space(f"{path}:Mine", DATA, cache=cache)
    assert anew["units"].describe() == "2..8"


@pytest.mark.slow
def test_the_models_in_the_guide_can_be_declared(tmp_path):
    guide = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    examples = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", guide, re.DOTALL))
    for name, code in examples.items():
        (tmp_path / name).write_text(code)
    data = DataSpec((8, 8, 1), 10)
    found = declare(f"{tmp_path}/my_build.py:build", data)
    whens = {parameter.name: parameter.when for parameter, _ in found.parameters}
    assert whens["units 1"] == ("layers", (2, 3))
    assert whens["rate"] == ("dropout", True)
    found = declare(f"{tmp_path}/my_hypermodel.py:Blocks", data)
    assert {p.name: p.when for p, _ in found.parameters}["units"] == ("head", "dense")
    assert found.notices == ()


@pytest.mark.slow
@pytest.mark.parametrize("task", ["regression", "multi-label"])
def test_a_hypermodel_is_given_the_outputs_of_its_task(tmp_path, task):
    (tmp_path / "net.py").write_text(SOURCE)
    data = DataSpec((8, 8, 1), 0, "image", 0, task, outputs=2, activation="linear")
    space = get_space(f"{tmp_path}/net.py:Mine", data, cache=tmp_path)
    assert space.build(space.complete({}), data).output_shape == (None, 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "data", "told"),
    [
        ((None, 1), DataSpec((4,), 10, "table"), "give `--task regression`"),
        ((None, 3), DataSpec((4,), 10, "table"), "they have 3 for 10 classes: build them for that"),
        ((None, 10), DataSpec((4,), 0, "table", 0, "regression", 1), "one output for each number"),
        ((None, 10), DataSpec((4,), 0, "table", 0, "regression", 1), "`--task classification`"),
        ((None, 3), DataSpec((4,), 0, "table", 0, "multi-label", 2), "one output for each label"),
    ],
)
def test_models_with_other_outputs_than_their_task_needs_are_refused(shape, data, told):
    from keras import Sequential, layers

    model = Sequential([layers.Input((4,)), layers.Dense(shape[1])])
    with pytest.raises(SpaceError, match=re.escape(told)):
        check_model(model, "net.py:build", data)


@pytest.mark.slow
@pytest.mark.parametrize("ends", [(), ("flat",)])
def test_one_number_may_be_an_axis_or_not(ends):
    from keras import Sequential, layers

    parts = [layers.Input((4,)), layers.Dense(1), *[layers.Reshape(()) for _ in ends]]
    check_model(Sequential(parts), "x", DataSpec((4,), 0, "table", 0, "regression", 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("returned", "fault"),
    [
        ('made, "a text"', "must return tensors of numbers"),
        ("None", "must return tensors of numbers"),
        ("{}", "must return tensors of numbers"),
        ("made, made", "one output for each class"),
        ("made[:, :2]", "they have 2 for 3 classes"),
    ],
)
def test_a_call_of_its_own_that_returns_no_prediction_is_refused(tmp_path, returned, fault):
    source = f"""
import keras

class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.last = keras.layers.Dense(3)

    def call(self, inputs):
        made = self.last(keras.ops.reshape(inputs, (-1, 64)))
        return {returned}

def build(hp):
    hp.Choice("a", [1, 2])
    return Own()
"""
    (tmp_path / "own.py").write_text(source)
    with pytest.raises(SpaceError, match=re.escape(fault)):
        declare(f"{tmp_path}/own.py:build", DATA)


@pytest.mark.slow
def test_a_call_that_cannot_be_traced_is_left_to_training(tmp_path):
    source = """
import keras

class Own(keras.Model):
    def call(self, inputs):
        return inputs.numpy()

def build(hp):
    hp.Choice("a", [1, 2])
    return Own()
"""
    (tmp_path / "own.py").write_text(source)
    assert declare(f"{tmp_path}/own.py:build", DataSpec((3,), 3, "table")).parameters
