import numpy as np
import pytest

from tests.fakes import some_classes

pytestmark = pytest.mark.slow


def tokens(count=500, length=20):
    random = np.random.default_rng(0)
    made = np.zeros((count, length), np.int32)
    for row in made:
        row[: random.integers(0, length)] = 5
    made[:, 0] = np.arange(count) + 1  # tells the rows apart
    return made


def epochs(seed, batch_size=8):
    from search.training.batches import lengths_of, shuffled

    data = tokens()
    return [
        [
            (data[rows, :longest], rows)
            for rows, longest in zip(
                np.split(batches.order, batches.ends[1:-1]), batches.longest, strict=True
            )
        ]
        for batches in (
            shuffled(
                np.arange(500),
                batch_size=batch_size,
                seed=seed,
                epoch=epoch,
                lengths=lengths_of(data),
            )
            for epoch in (0, 1)
        )
    ]


def test_every_sequence_comes_once_an_epoch():
    for epoch in epochs(1):
        assert sorted(np.concatenate([rows for _, rows in epoch])) == list(range(500))


def test_batches_are_cut_to_their_longest_and_hold_little_padding():
    first, _ = epochs(1)
    assert all((texts != 0).any(axis=0).all() for texts, _ in first)
    padding = sum((texts == 0).sum() for texts, _ in first)
    assert padding < 0.05 * sum(texts.size for texts, _ in first)


def test_batches_come_in_another_order_every_epoch_and_the_same_for_a_seed():
    (first, second), (again, _), (other, _) = epochs(1), epochs(1), epochs(2)
    order = [rows.tolist() for _, rows in first]
    assert order == [rows.tolist() for _, rows in again]
    assert order != [rows.tolist() for _, rows in second]
    assert order != [rows.tolist() for _, rows in other]
    lengths = [texts.shape[1] for texts, _ in first]
    assert lengths != sorted(lengths)


def test_samples_without_a_length_are_shuffled_and_cut_into_batches():
    from search.training.batches import shuffled

    rows = np.arange(10, 30)
    batches = shuffled(rows, batch_size=8, seed=3, epoch=0)
    assert (len(batches), batches.longest) == (3, None)
    assert np.diff(batches.ends).tolist() == [8, 8, 4]
    assert sorted(batches.order) == rows.tolist()
    assert batches.order.tolist() != rows.tolist()


def _texts(*layers, length=None):
    import keras

    keras.utils.set_random_seed(3)
    first = [keras.layers.Input((length,), dtype="int32")]
    return keras.Sequential([*first, *layers, keras.layers.Dense(2, "softmax")])


def _tokens(lengths=range(1, 21)):
    random = np.random.default_rng(0)
    tokens = np.zeros((len(lengths), 20), np.int32)
    for row, length in enumerate(lengths):
        tokens[row, :length] = random.integers(1, 9, length)
    return tokens


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Layer .* .* does not support masking:UserWarning")
@pytest.mark.filterwarnings("ignore:.*destroy.*mask.*:UserWarning")
@pytest.mark.parametrize(
    ("ignored", "make"),
    [
        (True, lambda k: [k.Embedding(9, 4, mask_zero=True), k.LSTM(3)]),
        (True, lambda k: [k.Embedding(9, 4, mask_zero=True), k.GlobalAveragePooling1D()]),
        (True, lambda k: [k.Embedding(9, 4, mask_zero=True), k.Dropout(0.5), k.GRU(3)]),
        (False, lambda k: [k.Embedding(9, 4), k.GlobalAveragePooling1D()]),
        (False, lambda k: [k.Embedding(9, 4), k.LSTM(3)]),
        (False, lambda k: [k.Embedding(9, 4, embeddings_initializer="zeros"), k.LSTM(3)]),
        (False, lambda k: [k.Embedding(9, 4), k.Conv1D(3, 5), k.GlobalMaxPooling1D()]),
        (
            False,
            lambda k: [
                k.Embedding(9, 4, mask_zero=True),
                k.Conv1D(1, 1, activation="relu"),
                k.GlobalMaxPooling1D(),
            ],
        ),
        (False, lambda k: [k.Embedding(9, 1, mask_zero=True), k.GlobalMaxPooling1D()]),
        (
            False,
            lambda k: [
                k.Embedding(9, 4, mask_zero=True, activity_regularizer="l2"),
                k.GlobalAveragePooling1D(),
            ],
        ),
        (
            False,
            lambda k: [
                k.Embedding(9, 4, mask_zero=True),
                k.BatchNormalization(),
                k.GlobalAveragePooling1D(),
            ],
        ),
    ],
)
def test_padding_is_cut_off_only_where_that_changes_nothing(ignored, make):
    import keras

    from search.training.batches import ignores_padding

    model = _texts(*make(keras.layers))
    before = model.get_weights()
    assert ignores_padding(model, _tokens()) is ignored
    assert all(map(np.array_equal, before, model.get_weights()))


@pytest.mark.slow
def test_nothing_is_cut_off_texts_of_one_length_or_other_samples():
    import keras

    from search.training.batches import ignores_padding

    masked = [keras.layers.Embedding(9, 4, mask_zero=True), keras.layers.LSTM(3)]
    assert ignores_padding(_texts(*masked, length=20), _tokens()) is False
    assert ignores_padding(_texts(*masked), _tokens([20] * 8)) is False
    rows = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(2)])
    assert ignores_padding(rows, np.zeros((4, 5), np.float32)) is False


@pytest.mark.parametrize("lengths", [None, "given"])
def test_each_seed_and_each_epoch_has_an_order_of_its_own(lengths):
    from search.training.batches import lengths_of, shuffled

    known = None if lengths is None else lengths_of(tokens())
    orders = {
        (seed, epoch): shuffled(
            np.arange(500), batch_size=8, seed=seed, epoch=epoch, lengths=known
        ).order.tolist()
        for seed in (0, 1)
        for epoch in (0, 1, 2)
    }
    assert len({tuple(order) for order in orders.values()}) == 6
    assert all(sorted(order) == list(range(500)) for order in orders.values())


def test_an_epoch_of_sequences_is_sorted_by_length_within_windows_of_fifty_batches():
    from search.training.batches import shuffled

    lengths = np.random.RandomState(0).randint(1, 9, 700)
    rows = np.arange(100, 700)
    batches = shuffled(rows, batch_size=4, seed=5, epoch=2, lengths=lengths)
    random = np.random.default_rng((5, 2))
    order = list(random.permutation(rows))
    expected = []
    while order:
        window, order = sorted(order[:200], key=lambda row: lengths[row]), order[200:]
        while window:
            batch, window = window[:4], window[4:]
            expected.append(batch)
    expected = [expected[index] for index in random.permutation(len(expected))]
    assert [list(b) for b in np.split(batches.order, batches.ends[1:-1])] == expected
    assert batches.longest.tolist() == [max(lengths[batch]) for batch in expected]
    assert (batches.ends[0], batches.ends[-1], len(batches)) == (0, 600, 150)


def test_samples_are_predicted_in_large_batches_as_they_come():
    from search.training.batches import in_turn

    rows = np.arange(1030)[::-1]
    batches = in_turn(rows)
    assert batches.order is rows
    assert batches.ends.tolist() == [0, 512, 1024, 1030]
    assert (batches.longest, len(batches)) == (None, 3)


def test_sequences_are_predicted_from_the_shortest_to_the_longest():
    from search.training.batches import in_turn

    lengths = np.random.RandomState(0).randint(1, 9, 2000)
    rows = np.arange(2000)[::-1][:1100]
    batches = in_turn(rows, lengths)
    assert batches.order.tolist() == sorted(rows, key=lambda row: lengths[row])
    parts = np.split(batches.order, batches.ends[1:-1])
    assert [len(part) for part in parts] == [512, 512, 76]
    assert batches.longest.tolist() == [max(lengths[part]) for part in parts]
    whole = in_turn(rows[:512], np.arange(2000))  # none as long as another
    assert whole.longest.tolist() == [1999]


def test_a_sequence_is_as_long_as_its_tokens_and_an_empty_one_has_length_one():
    from search.training.batches import lengths_of

    assert lengths_of([[0, 0, 0], [5, 0, 0], [5, 6, 0], [7, 8, 9]]).tolist() == [1, 1, 2, 3]


def test_rows_are_thinned_out_evenly_from_the_first_to_the_last():
    from search.training.batches import spread

    rows = np.arange(100, 110)
    assert spread(rows, 4).tolist() == [100, 103, 106, 109]
    assert spread(rows, 2).tolist() == [100, 109]
    assert spread(rows, 1).tolist() == [100]
    assert spread(rows, 10).tolist() == spread(rows, 50).tolist() == rows.tolist()


def test_a_part_without_rows_is_all_samples():
    from search.training.batches import Part

    labels = np.array([3, 4, 5, 6])
    some, every = Part(None, labels, np.array([2, 0])), Part(None, labels)
    assert (some.indices.tolist(), some.own_labels.tolist()) == ([2, 0], [5, 3])
    assert (every.indices.tolist(), every.own_labels.tolist()) == ([0, 1, 2, 3], [3, 4, 5, 6])


def test_nothing_is_cut_off_where_a_model_takes_other_inputs_than_one_open_sequence():
    import keras

    from search.training.batches import ignores_padding

    def model(*inputs):
        outputs = keras.layers.Concatenate()([keras.layers.Flatten()(i) for i in inputs])
        return keras.Model(list(inputs), outputs)

    class OwnClass(keras.Model):
        pass

    inputs = keras.layers.Input
    scalar = inputs(())
    assert ignores_padding(keras.Model(scalar, scalar + 1), _tokens()) is False
    steps = inputs((None, 3))
    assert ignores_padding(keras.Model(steps, steps + 1), _tokens()) is False
    assert ignores_padding(model(inputs((2,)), inputs((3,))), _tokens()) is False
    assert ignores_padding(OwnClass(), _tokens()) is False


def test_training_sees_every_sample_once_an_epoch_and_in_another_order_each_time():
    import keras

    from search.training.batches import Part, shuffled
    from search.training.fit import fit

    seen = []

    class Seeing(keras.Model):
        def train_step(self, data):
            seen.append(np.asarray(data[0])[:, 0].astype(int).tolist())
            return super().train_step(data)

    inputs = keras.layers.Input((1,))
    model = Seeing(inputs, keras.layers.Dense(2, "softmax")(inputs))
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    rows = np.arange(10, 40)
    part = Part(np.arange(50, dtype=np.float32)[:, None], np.arange(50) % 2, rows)
    params = {"epochs": 3, "batch_size": 8}
    fit(model, part, None, params, task=some_classes(2), seed=5, on_epoch=lambda _: None)
    epochs = [[row for batch in seen[start : start + 4] for row in batch] for start in (0, 4, 8)]
    assert len(seen) == 12
    assert all(sorted(order) == rows.tolist() for order in epochs)
    assert len({tuple(order) for order in epochs}) == 3
    expected = [shuffled(rows, batch_size=8, seed=5, epoch=epoch).order for epoch in range(3)]
    assert [list(order) for order in expected] == epochs
