"""A training that pauses and goes on later is the training that never did."""

import numpy as np
import pytest

from tests.search.training.test_fit import ROWS, params, small_model, train

pytestmark = pytest.mark.slow


def with_chance():
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            layers.Input((2,)),
            layers.GaussianNoise(0.1),
            layers.Dense(8, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(3, activation="softmax"),
        ]
    )


def recurrent():
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            layers.Input((2,)),
            layers.Reshape((2, 1)),
            layers.LSTM(4, recurrent_dropout=0.2),
            layers.Dense(3, activation="softmax"),
        ]
    )


def averaging():
    import keras

    model = small_model()
    model.compile(keras.optimizers.Adam(0.02, use_ema=True), "sparse_categorical_crossentropy")
    return model


def paused(path, build, chosen, *, after, **more):
    """Train with pauses after some epochs; return what the last piece gives, and all epochs."""
    from search.training.checkpoint import Pause, Paused

    epochs = []
    for until in after:
        seen = []
        kept = Pause.of(path, chosen, "float32", until=until)
        with pytest.raises(Paused) as caught:
            train(build(), chosen, pause=kept, on_each=seen.append, **more)
        assert caught.value.epoch == until
        epochs += seen
    kept = Pause.of(path, chosen, "float32", until=0)
    fitted, rest = train(build(), chosen, pause=kept, **more)
    return fitted, [*epochs, *rest]


def same(one, other):
    assert np.array_equal(one.chosen.values, other.chosen.values)
    assert all(
        np.array_equal(a, b)
        for a, b in zip(one.model.get_weights(), other.model.get_weights(), strict=True)
    )


@pytest.mark.parametrize("build", [small_model, with_chance, recurrent, averaging])
@pytest.mark.parametrize("after", [(1,), (2, 4), (3, 3)])
def test_a_paused_training_ends_as_one_that_never_paused(tmp_path, build, after):
    chosen = params(epochs=5, schedule="cosine", learning_rate=0.02, optimizer="adamw")
    whole, all_epochs = train(build(), chosen)
    pieces, epochs = paused(tmp_path / "state.npz", build, chosen, after=after)
    same(whole, pieces)
    assert [epoch.number for epoch in epochs] == [1, 2, 3, 4, 5]
    assert [epoch.metrics for epoch in epochs] == [epoch.metrics for epoch in all_epochs]


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_whatever_the_optimizer(tmp_path, optimizer):
    chosen = params(epochs=4, optimizer=optimizer, l2=0.01)
    whole, _ = train(small_model(), chosen)
    pieces, _ = paused(tmp_path / "state.npz", small_model, chosen, after=(2,))
    same(whole, pieces)


def test_averages_go_on(tmp_path):
    chosen = params(epochs=4, ema=0.1)
    whole, _ = train(with_chance(), chosen)
    pieces, _ = paused(tmp_path / "state.npz", with_chance, chosen, after=(1, 3))
    same(whole, pieces)


def test_with_the_program_of_an_earlier_fold(tmp_path):
    from search.training.program import Programs

    chosen = params(epochs=4)
    whole, _ = train(with_chance(), chosen)
    pieces, _ = paused(tmp_path / "s.npz", with_chance, chosen, after=(1, 2), programs=Programs())
    same(whole, pieces)


def test_numbers_keep_their_scale(tmp_path):
    from search.tasks import Regression

    numbers = ROWS @ np.array([[300.0], [100.0]]) + 5000

    def build():
        return small_model(1, activation="linear")

    kind = {"labels": numbers, "task": Regression(("value",))}
    whole, _ = train(build(), params(epochs=4), **kind)
    pieces, _ = paused(tmp_path / "state.npz", build, params(epochs=4), after=(2,), **kind)
    same(whole, pieces)


@pytest.mark.parametrize(
    "changed", [{"early_stopping": True, "patience": 2}, {"schedule": "plateau"}]
)
def test_training_with_a_memory_of_its_own_begins_again_and_ends_the_same(tmp_path, changed):
    chosen = params(epochs=4, **changed)
    whole, _ = train(small_model(), chosen)
    pieces, epochs = paused(tmp_path / "state.npz", small_model, chosen, after=(2,))
    same(whole, pieces)
    assert [epoch.number for epoch in epochs] == [1, 2, 1, 2, 3, 4]
    assert not (tmp_path / "state.npz").exists()


def kept_after(path, chosen, epoch):
    from search.training.checkpoint import Pause, Paused

    with pytest.raises(Paused):
        train(small_model(), chosen, pause=Pause.of(path, chosen, "float32", until=epoch))
    assert Pause.of(path, chosen, "float32", until=0).after == epoch


def test_a_file_of_other_params_a_damaged_one_and_another_epochs_are_not_gone_on_from(tmp_path):
    from search.training.checkpoint import Pause

    path, chosen = tmp_path / "state.npz", params(epochs=4)
    kept_after(path, chosen, 2)
    other = params(epochs=4, learning_rate=0.1)
    assert Pause.of(path, other, "float32", until=0).after == 0
    assert Pause.of(path, chosen, "mixed_bfloat16", until=0).after == 0
    assert Pause.of(path, chosen, "float32", until=0, after=1).after == 0
    assert Pause.of(path, chosen, "float32", until=0, after=2).after == 2
    whole = path.read_bytes()
    place = whole.index(b"NUMPY") + 130  # in an array
    changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    for damaged in (b"", whole[:300], whole[:-100], changed):
        path.write_bytes(damaged)
        assert Pause.of(path, chosen, "float32", until=0).after == 0


def test_what_was_kept_of_another_model_is_refused_before_anything_of_it_is_used(tmp_path):
    from search.training.checkpoint import CannotGoOn, Pause

    path, chosen = tmp_path / "state.npz", params(epochs=4)
    kept_after(path, chosen, 2)
    wider = small_model(units=9)
    before = wider.get_weights()
    with pytest.raises(CannotGoOn):
        train(wider, chosen, pause=Pause.of(path, chosen, "float32", until=0))
    assert all(map(np.array_equal, before, wider.get_weights()))


def test_a_pause_at_the_last_epoch_is_none(tmp_path):
    from search.training.checkpoint import Pause

    whole, _ = train(small_model(), params(epochs=3))
    at_the_end = Pause.of(tmp_path / "s.npz", params(epochs=3), "float32", until=3)
    found, _ = train(small_model(), params(epochs=3), pause=at_the_end)
    same(whole, found)
