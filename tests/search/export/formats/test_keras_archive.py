"""Models with parts of a user's own are written such that plain Keras reads them, or are told."""

import functools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.export.archive import own_in
from search.export.formats.keras_archive import doubt_about, write_archive

pytestmark = pytest.mark.slow  # TensorFlow

SOME = np.random.default_rng(1).random((4, 8, 8, 1)).astype(np.float32)
# What anybody would do who has nothing but Keras.
READ = """
import sys, keras, numpy as np
some = np.load("some.npy")
for name in sys.argv[1:]:
    model = keras.saving.load_model(f"{name}.keras")
    np.save(f"{name}.npy", model.predict(some, verbose=0))
"""


def stack(*middle: Any, kind: Any = None, optimizer: Any = "adam", **given: Any) -> Any:
    import keras
    from keras import layers

    compiled = {name: given.pop(name) for name in ("loss", "metrics") if name in given}
    parts = [layers.Input((8, 8, 1)), layers.Flatten(), *middle]
    model = (kind or keras.Sequential)([*parts, layers.Dense(3, "softmax", **given)])
    model.compile(optimizer, **{"loss": "sparse_categorical_crossentropy"} | compiled)
    return model


def graph(kind: Any = None, middle: Callable[[Any], Any] = lambda x: x) -> Any:
    import keras
    from keras import layers

    taken = keras.Input((8, 8, 1))
    hidden = middle(layers.Dense(6, "relu")(layers.Flatten()(taken)))
    model = (kind or keras.Model)(taken, layers.Dense(3, "softmax")(hidden))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def readable() -> dict[str, Any]:
    """Models whose own parts only training takes."""
    import keras
    import tensorflow as tf
    from keras import layers

    sparse = keras.losses.sparse_categorical_crossentropy

    class Loss(keras.losses.Loss):
        def __init__(self, weight: float) -> None:
            super().__init__()
            self.weight = weight

        def call(self, truth: Any, found: Any) -> Any:
            return self.weight * sparse(truth, found)

    class Rate(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step: Any) -> float:
            return 0.01

    class Optimizer(keras.optimizers.SGD):
        pass

    class Small(keras.regularizers.Regularizer):
        def __call__(self, weights: Any) -> Any:
            return tf.reduce_sum(weights**2)

    class Bound(keras.constraints.Constraint):
        def __call__(self, weights: Any) -> Any:
            return tf.clip_by_value(weights, -1, 1)

    def hundredths(shape: Any, dtype: Any = None) -> Any:
        return tf.ones(shape, dtype or "float32") / 100

    class Step(keras.Model):
        def train_step(self, data: Any) -> Any:
            return super().train_step(data)

    class Stack(keras.Sequential):
        pass

    class Inside(keras.Model):
        """Makes itself of parts, as a functional model."""

        def __init__(self) -> None:
            taken = keras.Input((6,))
            super().__init__(taken, layers.Dense(5, "relu")(taken))

    twice = layers.Dense(6, "relu")
    normal = layers.Normalization(axis=None)
    normal.adapt(3 * SOME.reshape(4, 64) + 1)
    words = keras.initializers.Constant(np.ones((64, 6), np.float32))
    return {
        "loss": stack(loss=lambda truth, found: sparse(truth, found)),
        "partial": stack(loss=functools.partial(sparse, from_logits=False)),
        "loss_class": stack(loss=Loss(2.0)),
        "metric": stack(metrics=[lambda truth, found: tf.reduce_mean(found)]),
        "schedule": stack(optimizer=keras.optimizers.Adam(Rate())),
        "optimizer": stack(optimizer=Optimizer(0.1)),
        "regularizer": stack(kernel_regularizer=Small()),
        "constraint": stack(kernel_constraint=Bound()),
        "initializer": stack(kernel_initializer=hundredths),
        "vectors": stack(layers.Dense(6, kernel_initializer=words)),
        "step": graph(Step),
        "stack": stack(kind=Stack),
        "nested": graph(middle=lambda x: Inside()(x)),
        "nested_compiled": graph(middle=_compiled_inside),
        "cell": graph(middle=lambda x: layers.LSTM(4, kernel_regularizer=Small())(x[:, None])),
        "shared": graph(middle=lambda x: twice(twice(x))),
        "operations": graph(middle=lambda x: keras.ops.log(x[:, :4] + 1.0) * 2),
        "preprocessing": stack(layers.Rescaling(2.0), normal, layers.Dropout(0.5)),
    }


def _compiled_inside(x: Any) -> Any:
    import keras

    taken = keras.Input((6,))
    inner = keras.Model(taken, keras.layers.Dense(5)(taken))
    inner.compile("adam", lambda truth, found: found)
    return inner(x)


def test_plain_keras_elsewhere_reads_models_whose_own_parts_only_training_takes(tmp_path):
    models = readable()
    np.save(tmp_path / "some.npy", SOME)
    for name, model in models.items():
        model.fit(SOME, np.arange(4) % 3, verbose=0)
        write_archive(model, tmp_path / f"{name}.keras")
        assert doubt_about(model, SOME) == "", name
    (tmp_path / "read.py").write_text(READ)
    command = [sys.executable, "read.py", *models]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    for name, model in models.items():
        found = np.load(tmp_path / f"{name}.npy")
        np.testing.assert_allclose(found, model.predict(SOME, verbose=0), atol=1e-6, err_msg=name)


def test_writing_leaves_the_model_as_it_was(tmp_path):
    import keras

    class Step(keras.Model):
        pass

    model = graph(Step)
    own = model.layers[-1].kernel_regularizer = _Own()
    before = type(model), model.optimizer, model.compiled, model.loss
    write_archive(model, tmp_path / "model.keras")
    assert (type(model), model.optimizer, model.compiled, model.loss) == before
    assert model.layers[-1].kernel_regularizer is own
    model.fit(SOME, np.arange(4) % 3, verbose=0)


def test_what_training_takes_does_not_stand_in_the_archive(tmp_path):
    import zipfile

    import h5py

    model = stack()
    model.fit(SOME, np.arange(4) % 3, verbose=0)
    write_archive(model, tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert not json.loads(archive.read("config.json")).get("compile_config")
        with archive.open("model.weights.h5") as file, h5py.File(file) as weights:
            assert "optimizer" not in weights


class _Own:
    def __call__(self, weights: Any) -> Any:
        return 0.0


def doubtful() -> dict[str, tuple[Any, str]]:
    """Models that cannot be read again, with what is told of them."""
    import keras
    from keras import layers

    class Own(layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    @keras.saving.register_keras_serializable("test_keras_archive")
    class Holding(layers.Layer):
        def __init__(self, thing: Any) -> None:
            super().__init__()
            self.thing = thing

        def call(self, x: Any) -> Any:
            return x

    class Subclass(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.flat, self.out = layers.Flatten(), layers.Dense(3, "softmax")

        def call(self, x: Any) -> Any:
            return self.out(self.flat(x))

    class Calling(keras.Model):
        """Functional, with a `call` of its own beside."""

        def call(self, x: Any) -> Any:
            return 1 - super().call(x)

    def ramp(x: Any) -> Any:
        return keras.ops.maximum(x, 0)

    def gelu(x: Any) -> Any:
        return x * 3

    subclass = Subclass()
    subclass.compile("adam", "sparse_categorical_crossentropy")
    subclass(SOME)
    return {
        "layer": (stack(Own()), "class 'Own' is not registered"),
        "function": (stack(layers.Dense(4, ramp)), "function 'ramp' is not registered"),
        "lambda": (stack(layers.Lambda(lambda x: x * 2)), "Lambda"),
        "named lambda": (stack(layers.Lambda(ramp)), "function 'ramp' is not registered"),
        "activation": (stack(layers.Dense(4, lambda x: x * 2)), "such as a Lambda layer"),
        "object": (stack(Holding(object())), "must override `get_config()`"),
        "subclass": (subclass, "class 'Subclass' is not registered"),
        "call": (graph(Calling), "class 'Calling' is not registered"),
        "name of Keras's": (stack(layers.Dense(4, gelu)), "give other outputs"),
    }


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`:UserWarning")
def test_what_cannot_be_read_again_is_named_with_the_way_out():
    for name, (model, told) in doubtful().items():
        doubt = doubt_about(model, SOME)
        assert told in doubt, name
        assert "register_keras_serializable()" in doubt, name
        assert tempfile.gettempdir() not in doubt, name


def test_a_large_model_is_only_described(monkeypatch):
    from keras import layers

    class Own(layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    fine, faulty = stack(), stack(Own())
    monkeypatch.setattr("search.export.formats.keras_archive.TRIED_BYTES", 500)
    monkeypatch.setattr("search.export.formats.keras_archive.write_archive", _unwanted)
    assert doubt_about(fine, SOME) == ""
    assert "class 'Own' is not registered" in doubt_about(faulty, SOME)


def _unwanted(model: Any, path: Path) -> None:
    pytest.fail("a large model was written")


def test_a_full_disk_is_not_blamed_on_the_model(monkeypatch):
    def full(model: Any, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("search.export.formats.keras_archive.write_archive", full)
    assert doubt_about(stack(), SOME) == ""


def test_own_parts_are_found_in_a_description_and_keras_own_are_not():
    import keras
    from keras import layers

    @keras.saving.register_keras_serializable("test_keras_archive")
    class Known(layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    plain = stack(layers.BatchNormalization(), layers.Dense(2, "relu"), layers.LeakyReLU())
    plain.compiled = False
    assert own_in(keras.saving.serialize_keras_object(plain)) == ()
    own = stack(Known(), layers.Dense(4, _ramp))
    own.compiled = False
    found = own_in(keras.saving.serialize_keras_object(own))
    assert found == ("test_keras_archive>Known", "_ramp")


def _ramp(x: Any) -> Any:
    return x
