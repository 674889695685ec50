"""Hypermodels, in this process. Each file is what a user would write."""

import socket
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from spaces import DataSpec, SpaceError
from spaces.declaring.__main__ import declare

pytestmark = pytest.mark.slow  # TensorFlow is imported

DATA = DataSpec((8, 8, 1), 3)
HEAD = "import keras\nimport keras_tuner\n"
DENSE = """
def model(units=3, shape=(8, 8, 1), compiled=True):
    made = keras.Sequential(
        [keras.layers.Input(shape), keras.layers.Flatten(), keras.layers.Dense(units)]
    )
    if compiled:
        made.compile(optimizer="sgd", loss="mse")
    return made
"""


@pytest.fixture
def written(tmp_path):
    def write(code, attribute):
        path = tmp_path / "mine.py"
        path.write_text(HEAD + DENSE + code)
        return f"{path}:{attribute}"

    return write


def refusal(target, data=DATA):
    with pytest.raises(SpaceError) as caught:
        declare(target, data)
    return str(caught.value)


def test_kerastuners_own_hypermodels_are_declared():
    found = declare("keras_tuner.applications:HyperXception", DataSpec((28, 28, 1), 10))
    parameters = {parameter.name: parameter for parameter, _ in found.parameters}
    assert found.compiled
    assert found.summary == "An Xception hypermodel."
    assert parameters["sep_num_filters"].describe() == "128..768 step 128"
    assert parameters["sep_num_filters"].default == 256
    assert parameters["learning_rate"].values == (1e-3, 1e-4, 1e-5)
    assert parameters["initial_strides"].fixed
    assert {parameter.when for parameter in parameters.values()} == {None}
    assert found.notices == ()


def test_a_class_gets_what_its_constructor_takes(written):
    code = """
class Mine(keras_tuner.HyperModel):
    def __init__(self, num_classes, input_shape, width=1):
        super().__init__()
        self.args = num_classes, input_shape

    def declare_hyperparameters(self, hp):
        hp.Int("declared", 1, 2)

    def build(self, hp):
        hp.Int("units", *self.args[1][:2])
        return model(self.args[0])

MADE = Mine(3, (8, 8, 1))
"""
    for attribute in ("Mine", "MADE"):
        found = declare(written(code, attribute), DATA)
        names = [(parameter.name, parameter.describe()) for parameter, _ in found.parameters]
        assert names == [("declared", "1..2"), ("units", "8")]


@pytest.mark.parametrize("compiled", [True, False])
def test_whether_models_come_compiled_is_told(written, compiled):
    target = written(f"def build(hp): return model(compiled={compiled})", "build")
    assert declare(target, DATA).compiled is compiled


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def build(hp):\n    raise KeyError('gone')", "default values: KeyError: gone ("),
        ("def build(hp): return 'x'", "must return a keras.Model; it returned a str"),
        ("def build(hp): return model(shape=(28, 28, 1))", "take (None, 28, 28, 1), and a sample"),
        (
            "def build(hp): return model(compiled=hp.Boolean('a'))",
            "compiles only some of its models",
        ),
        (
            "class build(keras_tuner.HyperModel):\n    def __init__(self, depth): ...",
            "this one also needs depth",
        ),
        (
            "class build(keras_tuner.HyperModel):\n"
            "    def __init__(self, classes): raise ValueError('few')",
            "cannot be instantiated: ValueError: few (",
        ),
        ("class build: ...", "it is another class"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_sentence(written, code, words):
    said = refusal(written(code, "build"))
    assert words in said
    assert "\n" not in said


def test_an_error_names_the_line_of_the_users_code(written):
    target = written("def build(hp):\n    return keras.layers.Dense(-1)", "build")
    path, _, _ = target.partition(":")
    last = len(Path(path).read_text().splitlines())
    assert f"({path}:{last})" in refusal(target)


def test_a_last_axis_of_length_1_may_be_missing(written):
    target = written("def build(hp): return model(shape=(8, 8))", "build")
    assert declare(target, DATA).parameters == ()
    assert "take (None, 8, 8)" in refusal(target, replace(DATA, input_shape=(8, 8, 3)))


def test_a_value_that_cannot_be_built_is_told_with_its_name(written):
    code = """
def build(hp):
    if hp.Choice("kernel:size", [3, 30]) == 30:
        raise ValueError("too large")
    return model()
"""
    found = declare(written(code, "build"), DATA)
    assert len(found.notices) == 1
    assert found.notices[0].startswith("kernel_size=30 cannot be built for samples of (8, 8, 1)")
    assert "ValueError: too large" in found.notices[0]


def test_only_the_first_build_may_use_the_network(written):
    code = """
import socket
def build(hp):
    socket.create_connection(("127.0.0.1", hp.Fixed("port", %d))).close()
    hp.Boolean("other")
    return model()
"""
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = declare(written(code % server.getsockname()[1], "build"), DATA)
        server.settimeout(0)
        with server.accept()[0]:
            pass
        with suppress(BlockingIOError):
            server.accept()
            pytest.fail("a second connection came")
    assert found.notices == ()
    assert "other" in [parameter.name for parameter, _ in found.parameters]
