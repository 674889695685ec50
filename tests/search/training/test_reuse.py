"""A program kept from one fold to the next must not show in any number."""

import numpy as np
import pytest

from spaces import Float, Int
from spaces.declaring.training import with_training
from tests.fakes import some_classes, toy_space

pytestmark = pytest.mark.slow

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(90, 4)).astype(np.float32)
LABELS = np.arange(90) % 3


def params(**changed):
    space = with_training(toy_space(Int("units", 4, 8), Float("dropout", 0.0, 0.5)))
    return space.complete({"epochs": 2, "batch_size": 16, **changed})


def model(seed, *, layer=None, compiled=False):
    import keras

    keras.utils.set_random_seed(seed)
    layers = [
        keras.layers.Input((4,)),
        keras.layers.Dense(8, activation="relu"),
        keras.layers.Dropout(0.3),
        keras.layers.BatchNormalization(),
        *([layer] if layer else []),
        keras.layers.Dense(3, activation="softmax"),
    ]
    made = keras.Sequential(layers)
    if compiled:
        made.compile("adam", "sparse_categorical_crossentropy")
    return made


def trained(made, programs, chosen, fold):
    from search.training.batches import Part
    from search.training.fit import fit

    rows = np.arange(90)
    return fit(
        made,
        Part(ROWS, LABELS, rows[rows % 3 != fold]),
        Part(ROWS, LABELS, rows[rows % 3 == fold]),
        chosen,
        task=some_classes(3),
        seed=fold,
        on_epoch=lambda _: None,
        programs=programs,
    )


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"optimizer": "sgd", "momentum": 0.9, "schedule": "cosine"},
        {"early_stopping": True, "patience": 1, "epochs": 4, "learning_rate": 0.1},
        {"schedule": "plateau", "epochs": 4, "learning_rate": 0.1, "l2": 0.01},
        {"optimizer": "adamw", "class_weights": True, "label_smoothing": 0.1},
        {"ema": 0.2, "epochs": 3},
    ],
)
def test_a_kept_program_trains_to_the_same_bits_as_a_new_one(changed):
    from search.training.program import Programs

    programs, chosen = Programs(), params(**changed)
    kept = [trained(model(fold), programs, chosen, fold) for fold in (0, 1, 2)]
    assert kept[0].model is kept[1].model is kept[2].model
    for fold, with_kept in enumerate(kept):
        alone = trained(model(fold), None, chosen, fold)
        assert alone.chosen.metrics == with_kept.chosen.metrics
        assert np.array_equal(alone.chosen.values, with_kept.chosen.values)
        assert alone.epochs == with_kept.epochs


def test_a_setting_is_traced_once_for_all_folds(monkeypatch):
    from search.training.program import Program, Programs

    traces = []
    traced = Program._epoch

    def counted(self, *tensors):
        traces.append(self)
        return traced(self, *tensors)

    monkeypatch.setattr(Program, "_epoch", counted)
    programs = Programs()
    for fold in (0, 1, 2):
        trained(model(fold), programs, params(), fold)
    assert len(traces) == 1
    trained(model(0), programs, params(learning_rate=0.5), 0)
    assert len(traces) == 2


def test_only_models_of_keras_own_layers_that_were_not_compiled_are_kept():
    import keras

    from search.training.program import Programs

    class Own(keras.layers.Dense):
        pass

    lent = keras.layers.Lambda(lambda inputs: 2 * inputs)
    for made in (
        lambda: model(1, layer=Own(5)),
        lambda: model(1, layer=lent),
        lambda: model(1, compiled=True),
    ):
        programs = Programs()
        first, second = trained(made(), programs, params(), 0), made()
        assert trained(second, programs, params(), 1).model is second
        assert first.model is not second


def test_a_model_of_another_shape_is_not_replaced():
    from search.training.program import Programs

    programs = Programs()
    trained(model(1), programs, params(), 0)
    import keras

    wider = model(1, layer=keras.layers.Dense(7))
    assert trained(wider, programs, params(), 1).model is wider


def test_the_oldest_programs_make_room(monkeypatch):
    from search.training.program import Programs

    monkeypatch.setattr("search.training.program.MOST_PROGRAMS", 2)
    programs = Programs()
    rates = [0.001, 0.002, 0.003]
    models = [trained(model(1), programs, params(learning_rate=rate), 0).model for rate in rates]
    again = [trained(model(1), programs, params(learning_rate=rate), 0).model for rate in rates]
    assert again[0] is not models[0]  # it was dropped
    assert len(set(map(id, models))) == 3


@pytest.mark.parametrize("name", ["LSTM", "GRU", "SimpleRNN"])
@pytest.mark.parametrize("dropped", [{"dropout": 0.3}, {"recurrent_dropout": 0.3}])
def test_a_recurrent_layer_that_drops_draws_the_same_with_a_kept_program(name, dropped):
    import keras

    from search.training.program import Programs

    def made():
        keras.utils.set_random_seed(5)
        return keras.Sequential(
            [
                keras.layers.Input((4,)),
                keras.layers.Reshape((4, 1)),
                getattr(keras.layers, name)(4, **dropped),
                keras.layers.Dense(3, activation="softmax"),
            ]
        )

    programs = Programs()
    first = trained(made(), programs, params(), 1)
    again = trained(made(), programs, params(), 1)
    alone = trained(made(), None, params(), 1)
    assert again.model is first.model
    assert np.array_equal(again.chosen.values, alone.chosen.values)
    assert np.array_equal(first.chosen.values, alone.chosen.values)
