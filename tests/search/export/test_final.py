"""What is trained for an export: one model, or several in one that averages their values."""

import dataclasses

import numpy as np
import pytest

from search.data import load
from search.data.splits import make_folds
from search.errors import SettingsError
from search.export.extent import Length
from search.export.members import Member, check_ensemble, check_refits
from search.export.refit import Final
from spaces import Int, Space, TextInput, get_space

pytestmark = pytest.mark.slow  # TensorFlow


@pytest.fixture(scope="module")
def final(tmp_path_factory):
    """A setting of an MLP with batch normalisation's kin, two folds of 120 digits."""
    dataset = load(
        "digits", home=tmp_path_factory.mktemp("home"), data_dir=None, notify=lambda text: None
    )
    space = get_space("mlp")
    params = space.complete({}) | {"epochs": 3, "batch_size": 32, "learning_rate": 0.01}
    folds = make_folds(dataset.train_labels, folds=2, seed=0, limit_samples=120)
    return Final(dataset, folds, space, params, 7, "float32")


def silent(*_: object) -> None:
    pass


def test_one_model_is_trained_on_all_samples_in_use(final):
    from search.export.members import refit

    epochs = []
    made = refit([final], lambda fold, number, metrics: epochs.append((fold, number)))
    assert epochs == [(0, 1), (0, 2), (0, 3)]
    assert made.models == 1
    assert len(made.curves) == 3
    assert made.curves[-1]["loss"] < made.curves[0]["loss"]
    assert made.labels.task == final.dataset.task
    assert final.samples().encoded.shape[0] == 64


def test_what_was_trained_in_bfloat16_computes_in_float32_with_the_same_weights(final, monkeypatch):
    from search.export.members import refit

    trained = []
    train = Final.train

    def keep(self, *given):
        model, *rest = train(self, *given)
        trained.append((model.compute_dtype, [np.array(weight) for weight in model.get_weights()]))
        return model, *rest

    monkeypatch.setattr(Final, "train", keep)
    made = refit([dataclasses.replace(final, precision="mixed_bfloat16")], silent)
    [(computed_in, weights)] = trained
    assert computed_in == "bfloat16"
    assert {layer.compute_dtype for layer in made.model.layers} == {"float32"}
    for found, expected in zip(made.model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_such_a_model_is_written_and_read_without_a_word(final, tmp_path):
    from search.export.formats import FORMATS
    from search.export.formats.writing import exportable
    from search.export.members import refit

    made = refit([dataclasses.replace(final, precision="mixed_bfloat16")], silent)
    whole = exportable(made.model, made.labels, final.samples())
    whole.model.save(tmp_path / "model.keras")
    [found] = FORMATS["keras"].predict(tmp_path, whole.samples, whole.labels).values()
    expected = made.model.predict(final.samples().encoded, verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-7)


def trained_alone(final):
    """Return the model of each seed that `Member.seeds` names, trained by itself."""
    return [final.train(seed, silent)[0] for seed in Member(final.trial, 1.0, 2).seeds(final.seed)]


def test_refits_average_models_that_were_trained_from_other_seeds(final, tmp_path):
    import keras

    from search.export.formats import FORMATS
    from search.export.formats.writing import exportable
    from search.export.members import refit

    epochs = []
    member = Member(final.trial, 1.0, 2)
    made = refit([final], lambda model, number, metrics: epochs.append((model, number)), [member])
    assert epochs == [(model, epoch) for model in (1, 2) for epoch in (1, 2, 3)]
    assert (made.models, len(made.curves), made.labels.returns) == (2, 3, "probabilities")
    assert made.members == (
        {"trial": 0, "seeds": list(member.seeds(7)), "weight": 1.0, "epochs": [3, 3]},
    )

    samples = final.samples()
    alone = [model.predict(samples.encoded, verbose=0) for model in trained_alone(final)]
    assert not np.allclose(*alone, atol=1e-3)
    found = made.model.predict(samples.encoded, verbose=0)
    np.testing.assert_allclose(found, np.mean(alone, axis=0), atol=1e-6)
    single = refit([final], silent).model.predict(samples.encoded, verbose=0)
    np.testing.assert_array_equal(single, alone[0])  # the first seed is that of a single training
    paths = [weight.path for weight in made.model.weights]
    assert len(set(paths)) == len(paths)

    whole = exportable(made.model, made.labels, samples)
    whole.model.save(tmp_path / "model.keras")
    keras.backend.clear_session(free_memory=False)
    [again] = FORMATS["keras"].predict(tmp_path, whole.samples, whole.labels).values()
    np.testing.assert_allclose(again, found, atol=1e-7)


def test_trials_are_averaged_by_their_weights(final):
    from search.export.members import refit

    other = dataclasses.replace(final, params={**final.params, "units_1": 40}, trial=3)
    members = [Member(0, 0.75, 2), Member(3, 0.25, 1)]
    made = refit([final, other.sharing(final)], silent, members)
    assert made.models == 3
    samples = final.samples().encoded
    first, second = (model.predict(samples, verbose=0) for model in trained_alone(final))
    third = other.train(members[1].seeds(7)[0], silent)[0].predict(samples, verbose=0)
    expected = 0.375 * first + 0.375 * second + 0.25 * third
    np.testing.assert_allclose(made.model.predict(samples, verbose=0), expected, atol=1e-6)
    assert [(one["trial"], one["weight"]) for one in made.members] == [(0, 0.75), (3, 0.25)]


def test_models_of_one_output_or_of_logits_are_averaged_as_probabilities(final):
    from keras import Sequential, layers, losses

    from search.export.members import refit

    def build(parameters, data):
        model = Sequential([layers.Input(data.input_shape), layers.Flatten(), layers.Dense(10)])
        loss = losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss)
        return model

    space = dataclasses.replace(final.space, build=build, compiled=True)
    made = refit([dataclasses.replace(final, space=space)], silent, [Member(0, 1.0, 2)])
    samples = final.samples().encoded
    found = made.model.predict(samples, verbose=0)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    logits = [
        made.model.get_layer(f"model_{n}").predict(samples, verbose=0).astype(float) for n in (1, 2)
    ]
    powers = [np.exp(rows - rows.max(axis=1, keepdims=True)) for rows in logits]
    expected = np.mean([rows / rows.sum(axis=1, keepdims=True) for rows in powers], axis=0)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("refits", [0, 101])
def test_a_number_of_trainings_that_cannot_be_is_refused(refits):
    with pytest.raises(SettingsError, match=f"`--refits` must be between 1 and 100; got {refits}"):
        check_refits(refits)


@pytest.mark.parametrize("asked", ["True", "1", "-3", "best", "--json"])
def test_the_average_of_the_folds_models_of_earlier_versions_has_a_remedy(asked):
    check_ensemble("auto")
    check_ensemble("12")
    with pytest.raises(SettingsError, match=f"got '{asked}'.*give `--refits 5`"):
        check_ensemble(asked)


@pytest.mark.parametrize("beside", ["groups", "time"])
def test_all_samples_are_cut_further_by_groups_and_time(final, beside):
    from search.export.members import refit

    params = {**final.params, "epochs": 1, "early_stopping": True}
    alike = np.zeros(len(final.dataset.train_labels), np.int64)
    folds = dataclasses.replace(final.folds, **{beside: alike})
    with pytest.raises(ValueError, match="need an inner part"):
        refit([dataclasses.replace(final, folds=folds, params=params)], silent)


def test_a_training_ends_after_the_epochs_of_its_length_with_schedules_made_for_all(final):
    params = {**final.params, "epochs": 5, "schedule": "cosine", "warmup": 0.0}
    _, whole, _ = dataclasses.replace(final, params=params).train(1, silent)
    stops = params | {"early_stopping": True, "patience": 1}
    ended = dataclasses.replace(final, params=stops, length=Length(5, 2))
    _, curves, _ = ended.train(1, silent)
    assert len(whole) == 5
    assert curves == whole[:2]  # all samples, no inner part


def texts(folder):
    """Return texts whose last word gives the class, and the space of a small model of them."""
    chance = np.random.default_rng(0)
    words = np.array([f"w{number}" for number in range(30)])
    rows = [" ".join(chance.choice(words, 3 + n % 8)) for n in range(80)]
    labels = np.arange(80) % 2
    rows = [f"{row} {'good' if label else 'bad'}" for row, label in zip(rows, labels, strict=True)]
    np.savez(folder / "t.npz", x_train=rows, y_train=labels, x_test=rows[:4], y_test=labels[:4])
    return load(f"npz:{folder / 't.npz'}", home=folder, data_dir=None, notify=lambda text: None)


def build_text(parameters, data):
    from keras import Sequential, layers

    return Sequential(
        [
            layers.Input(data.input_shape, dtype="int32"),
            layers.Embedding(data.vocabulary, 4, mask_zero=True),
            layers.LSTM(3),
            layers.Dense(2, activation="softmax"),
        ]
    )


def test_a_smaller_vocabulary_and_shorter_texts_are_made_of_the_larger(tmp_path):
    from search.data.encoders import TextEncoder
    from search.export.members import refit
    from spaces.declaring.training import with_training

    dataset = texts(tmp_path)
    space = with_training(
        Space(
            name="text",
            inputs=TextInput(),
            parameters=(Int("vocabulary", 5, 50), Int("length", 2, 20)),
            build=build_text,
        )
    )
    folds = make_folds(dataset.train_labels, folds=2, seed=0)
    sizes = ((12, 9), (28, 4), (12, 9))
    finals = [
        Final(
            dataset,
            folds,
            space,
            space.complete({"vocabulary": size, "length": length, "epochs": 1}),
            7,
            "float32",
            trial=number,
        )
        for number, (size, length) in enumerate(sizes)
    ]
    finals = [one.sharing(finals[0]) for one in finals]
    members = [Member(number, 1 / 3) for number in range(3)]
    made = refit(finals, silent, members)
    assert isinstance(made.labels.encoder, TextEncoder)
    assert (made.labels.encoder.size, made.labels.encoder.length) == (28, 9)
    raw = [*dataset.train_samples[:20], "w1 of unknown words", ""]
    expected = np.mean(
        [
            final.train(member.seeds(7)[0], silent)[0].predict(final.encoder.encode(raw), verbose=0)
            for final, member in zip(finals, members, strict=True)
        ],
        axis=0,
    )
    found = made.model.predict(made.labels.encoder.encode(raw), verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    made.model.save(tmp_path / "model.keras")
    import keras

    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        again.predict(made.labels.encoder.encode(raw), verbose=0), found, atol=1e-6
    )


def test_trials_whose_samples_are_encoded_otherwise_cannot_share_an_input(final):
    from search.export.averaging import Trained, averaged
    from search.export.labels import plain_outputs

    other = dataclasses.replace(final, trial=4)
    other.__dict__["encoder"] = dataclasses.replace(final.encoder, scaled=not final.encoder.scaled)
    meaning = plain_outputs(final.dataset.task)
    with pytest.raises(SettingsError, match="models of trials 0 and 4 cannot share an input"):
        averaged([Trained(final, 0.5, meaning), Trained(other, 0.5, meaning)])
