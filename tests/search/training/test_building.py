"""Models begin from weights that no training has touched, in a state that no other has left."""

import os
import random
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spaces import Code, DataSpec, SpaceError, fingerprint_of, get_space
from spaces.declaring.declarations import Declaration
from spaces.declaring.training import with_training
from spaces.keras_tuner.hypermodel import hypermodel_space

pytestmark = pytest.mark.slow  # TensorFlow

DATA = DataSpec((4,), 3, "table")
START = "import keras\nfrom keras import layers\n"
FRESH = f"""{START}
def build(hp):
    base = keras.Sequential([layers.Input((4,)), layers.Dense(8, "relu")])
    model = keras.Sequential([base, layers.Dropout(0.5), layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model
"""
REMEMBERING = {
    "a layer made at import": f"""{START}
BASE = keras.Sequential([layers.Input((4,)), layers.Dense(8, "relu")])
def build(hp):
    model = keras.Sequential([BASE, layers.Dropout(0.5), layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model
""",
    "a layer made at import that gets its weights later": f"""{START}
DENSE = layers.Dense(8, "relu")
def build(hp):
    base = keras.Sequential([layers.Input((4,)), DENSE])
    model = keras.Sequential([base, layers.Dropout(0.5), layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model
""",
    "the model of the first call": FRESH.replace("def build(hp)", "def anew()")
    + """
KEPT = []
def build(hp):
    if not KEPT:
        KEPT.append(anew())
    return KEPT[0]
""",
    "a cached function": "from functools import cache\n"
    + FRESH.replace("def build(hp)", "@cache\ndef anew()")
    + "def build(hp):\n    return anew()\n",
    "weights kept by name": FRESH.replace("def build(hp)", "def anew()")
    + """
KEPT = {}
def build(hp):
    model = anew()
    model.set_weights(KEPT.setdefault("weights", model.get_weights()))
    return model
""",
    "a model kept by a hypermodel": FRESH.replace("def build(hp)", "def anew()")
    + """
import keras_tuner
class Mine(keras_tuner.HyperModel):
    model = None
    def build(self, hp):
        self.model = self.model or anew()
        return self.model
build = Mine()
""",
    "an optimizer made at import": FRESH.replace('"adam"', "ADAM").replace(
        "def build", "ADAM = keras.optimizers.Adam()\ndef build"
    ),
    "a metric made at import": FRESH.replace('entropy")', 'entropy", metrics=[METRIC])').replace(
        "def build",
        'METRIC = keras.metrics.SparseCategoricalAccuracy(name="acc")\ndef build',
    ),
    "a counter that sets the rate": FRESH.replace("0.5", "0.1 * count()").replace(
        "def build",
        "CALLS = []\ndef count():\n    CALLS.append(1)\n    return len(CALLS)\ndef build",
    ),
}


@pytest.fixture(scope="module", autouse=True)
def _modules_stay_apart():
    before = list(sys.path)
    yield
    sys.path[:] = before


def models(folder: Path, source: str, *, name: str = "net.py", **beside: str) -> Any:
    """Write a space's file, and others beside it; return what builds its models."""
    from search.training.building import Models

    for other, text in beside.items():
        (folder / f"{other}.py").write_text(text)
    (folder / name).write_text(source)
    target = f"{folder / name}:build"
    space = hypermodel_space(target, "net", Declaration(is_space=False), is_outline=False)
    return Models(with_training(space), Code(target), expected={}, seed=0)


def trained(built: Any) -> list[Any]:
    """Return a new model's weights, and change all that a training changes."""
    weights = [np.array(weight) for weight in built.model.get_weights()]
    built.model.optimizer.build(built.model.trainable_variables)
    for variable in (*built.model.variables, *built.model.optimizer.variables):
        variable.assign(variable + 1)
    return weights


def in_plain_keras(source: str, seed: int) -> list[Any]:
    import keras

    names: dict[str, Any] = {}
    exec(compile(source, "plain", "exec"), names)  # noqa: S102 # the text above
    keras.utils.set_random_seed(seed)
    return [np.array(weight) for weight in names["build"](None).get_weights()]


def same(one: list[Any], other: list[Any]) -> bool:
    return all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.parametrize("kind", REMEMBERING)
def test_code_that_remembers_gives_each_fold_the_weights_of_code_that_does_not(tmp_path, kind):
    from search.training.building import Models  # noqa: F401 # TensorFlow, before seeds are set

    made = models(tmp_path, REMEMBERING[kind])
    for seed in (11, 12, 11):
        with made.built({}, DATA, seed=seed, precision="float32") as built:
            assert same(trained(built), in_plain_keras(FRESH, seed)), seed
    assert made.notices == []


def test_what_a_counter_decides_is_the_same_for_every_model(tmp_path):
    made = models(tmp_path, REMEMBERING["a counter that sets the rate"])
    for _ in range(3):
        with made.built({}, DATA, precision="float32") as built:
            assert built.model.layers[1].rate == 0.1


def test_optimizers_begin_without_what_an_earlier_one_gathered(tmp_path):
    made = models(tmp_path, REMEMBERING["an optimizer made at import"])
    for _ in range(2):
        with made.built({}, DATA, precision="float32") as built:
            assert int(built.model.optimizer.iterations) == 0
            trained(built)


def test_weights_loaded_at_import_stay_those_that_were_loaded(tmp_path):
    np.savez(tmp_path / "w.npz", np.full((4, 8), 0.25, np.float32), np.full(8, 0.5, np.float32))
    made = models(
        tmp_path,
        REMEMBERING["a layer made at import"].replace(
            "def build",
            f"import numpy\nPATH = {str(tmp_path / 'w.npz')!r}\n"
            "BASE.set_weights(list(numpy.load(PATH).values()))\ndef build",
        ),
    )
    for seed in (1, 2):
        with made.built({}, DATA, seed=seed, precision="float32") as built:
            kernel, bias = trained(built)[:2]
            assert (kernel == 0.25).all()
            assert (bias == 0.5).all()


def test_modules_beside_the_space_are_run_anew_too(tmp_path):
    base = (
        "import keras\nBASE = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])"
    )
    source = "def build(hp):\n    from beside_it import BASE\n    return BASE"
    made = models(tmp_path, source, beside_it=base)
    first = []
    for seed in (1, 2):
        with made.built({}, DATA, seed=seed, precision="float32") as built:
            built.model.compile("adam", "mse")
            first.append(np.array(built.model.get_weights()[0]))
            built.model.set_weights([np.zeros_like(w) for w in built.model.get_weights()])
    assert first[0].any()
    assert first[1].any()
    assert not np.array_equal(*first)


def test_a_space_s_unfreeze_belongs_to_the_same_run_of_its_code(tmp_path):
    from search.training.building import Models

    path = tmp_path / "own.py"
    path.write_text(
        "from spaces import Int, Space, TableInput\nMADE = []\n"
        "def build(parameters, data):\n"
        "    import keras\n"
        "    MADE.append(keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)]))\n"
        "    return MADE[0]\n"
        "def unfreeze(model, parameters):\n    return float(MADE == [model])\n"
        "SPACE = Space(name='own', build=build, parameters=(Int('units', 1, 2),),"
        " inputs=TableInput(), dataset='wine', unfreeze=unfreeze)\n"
    )
    made = Models(get_space(f"{path}:SPACE"), Code(f"{path}:SPACE"), expected={}, seed=0)
    for _ in range(2):
        with made.built({"units": 1}, DATA, precision="float32") as built:
            assert built.unfreeze is not None
            assert built.unfreeze(built.model, {}) == 1.0


@pytest.mark.parametrize("place", ["package", "builtins"])
def test_what_is_shared_all_the_same_is_refused_with_the_remedy(tmp_path, place):
    from search.training.building import SharedState

    library = tmp_path / "site-packages"
    library.mkdir()
    (library / "a_library.py").write_text(
        "import keras\nBASE = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])"
    )
    sys.path.append(str(library))
    source = {
        "package": "from a_library import BASE\n",
        "builtins": "import builtins, keras\n"
        "if not hasattr(builtins, 'BASE'):\n"
        "    builtins.BASE = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])\n"
        "BASE = builtins.BASE\n",
    }[place]
    made = models(tmp_path, f"{source}def build(hp):\n    return BASE\n")
    with (
        pytest.raises(SharedState, match=r"share the model .* Make it within `build`"),
        made.built({}, DATA, precision="float32"),
    ):
        pass


def test_an_object_that_takes_the_number_of_one_that_is_gone_is_not_shared():
    import keras

    from search.training.building import _Seen

    seen, model, earlier = _Seen(), *(keras.Sequential([keras.Input((1,))]) for _ in range(2))
    seen._alive[id(model)] = weakref.ref(earlier)  # as if that one had had the number
    assert seen.shared_by(model) == ""
    seen.add(model)
    assert seen.shared_by(model) != ""


def test_weights_that_no_seed_decides_are_told_of_once(tmp_path):
    source = FRESH.replace(
        "    return model",
        "    import numpy\n    draw = numpy.random.default_rng().random\n"
        "    model.set_weights([draw(w.shape) for w in model.get_weights()])\n    return model",
    )
    made = models(tmp_path, source)
    for _ in range(2):
        with made.built({}, DATA, precision="float32"):
            pass
    [notice] = made.notices
    assert "cannot be reproduced" in notice
    assert "Give that generator a seed" in notice


def state() -> dict[str, Any]:
    import keras
    import tensorflow as tf

    return {
        "policy": keras.config.dtype_policy().name,
        "floatx": keras.config.floatx(),
        "epsilon": keras.config.epsilon(),
        "layout": keras.config.image_data_format(),
        "filtering": keras.config.is_traceback_filtering_enabled(),
        "logging": keras.config.is_interactive_logging_enabled(),
        "most epochs": keras.config.max_epochs(),
        "eager": tf.config.functions_run_eagerly(),
        "jit": tf.config.optimizer.get_jit(),
        "options": tf.config.optimizer.get_experimental_options(),
        "environment": dict(os.environ),
        "path": list(sys.path),
        "folder": Path.cwd(),
        "errors": np.geterr(),
        "python": random.getstate(),
        "numpy": np.random.get_state()[1].tolist(),
    }


CHANGES = """
import os, random, sys
import numpy as np
import tensorflow as tf
keras.config.set_dtype_policy("mixed_float16")
keras.config.set_floatx("float64")
keras.config.set_epsilon(0.1)
keras.config.set_image_data_format("channels_first")
keras.config.disable_traceback_filtering()
keras.config.enable_interactive_logging()
keras.config.set_max_epochs(1)
tf.config.run_functions_eagerly(True)
tf.config.optimizer.set_jit(True)
tf.config.optimizer.set_experimental_options({"constant_folding": False})
os.environ["FROM_A_SPACE"] = "1"
os.chdir("/")
np.seterr(all="raise")
sys.path.insert(0, "/nowhere")
keras.utils.set_random_seed(3)
"""


@pytest.mark.parametrize("place", ["import", "build"])
@pytest.mark.parametrize("fails", [False, True])
def test_what_a_space_s_code_changes_of_the_process_reaches_no_other_model(tmp_path, place, fails):
    import keras

    keras.config.disable_interactive_logging()
    indented = CHANGES.replace("\n", "\n    ")
    within = f"def build(hp):{indented if place == 'build' else ''}\n"
    source = (
        f"{START}{CHANGES if place == 'import' else ''}{within}"
        f"    if {fails}:\n        raise ArithmeticError\n"
        "    return keras.Sequential([layers.Input((4,)), layers.Dense(3)])\n"
    )
    made = models(tmp_path, source)
    made.open()
    sys.path.append(str(tmp_path))
    before = state()
    for _ in range(2):
        try:
            with made.built({}, DATA, precision="float32") as built:
                assert built.model.dtype_policy.name == "mixed_float16"
                assert os.environ["FROM_A_SPACE"] == "1"
        except ArithmeticError:
            assert fails
        assert state() == before


@pytest.mark.parametrize(
    ("change", "computes_in", "holds"),
    [
        ('keras.config.set_floatx("float64")', "float64", "float64"),
        ('keras.config.set_dtype_policy("mixed_bfloat16")', "bfloat16", "float32"),
        ("pass", "float32", "float32"),
    ],
)
@pytest.mark.parametrize("place", ["import", "build"])
def test_a_model_has_the_float_type_its_code_chose_up_to_the_end_of_its_training(
    tmp_path, place, change, computes_in, holds
):
    import keras

    at_import, within = (change, "pass") if place == "import" else ("pass", change)
    source = FRESH.replace("def build(hp):", f"{at_import}\ndef build(hp):\n    {within}")
    made = models(tmp_path, source)
    with made.built({}, DATA, precision="float32") as built:
        dense = built.model.layers[-1]
        assert (dense.compute_dtype, dense.variable_dtype) == (computes_in, holds)
        built.model.fit(np.ones((8, 4)), np.zeros(8, np.int32), verbose=0)
        if computes_in == "float64":
            assert keras.config.floatx() == "float64"
    assert keras.config.floatx() == "float32"


def test_a_precision_is_taken_where_the_code_chooses_none(tmp_path):
    made = models(tmp_path, FRESH)
    for precision, expected in (("mixed_bfloat16", "bfloat16"), ("float32", "float32")):
        with made.built({}, DATA, precision=precision) as built:
            assert built.model.layers[-1].compute_dtype == expected


def test_a_file_that_is_edited_meanwhile_is_run_as_it_was_read(tmp_path):
    made = models(tmp_path, FRESH)
    made.open()
    (tmp_path / "net.py").write_text(FRESH.replace("Dense(8", "Dense(16"))
    with made.built({}, DATA, precision="float32") as built:
        assert built.model.layers[0].output_shape == (None, 8)


def test_code_that_changed_before_it_was_read_is_refused(tmp_path):
    from search.training.building import Models

    first = models(tmp_path, FRESH)
    first.open()
    expected = fingerprint_of(first._code)
    target = f"{tmp_path / 'net.py'}:build"
    Models(first._space, Code(target), expected=expected, seed=0).open()
    (tmp_path / "net.py").write_text(FRESH.replace("Dense(8", "Dense(16"))
    with pytest.raises(SpaceError, match=r"net\.py was changed"):
        Models(first._space, Code(target), expected=expected, seed=0).open()
