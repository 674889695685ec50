import numpy as np
import pytest

pytestmark = pytest.mark.slow


def tokens(count=500, length=20):
    random = np.random.default_rng(0)
    made = np.zeros((count, length), np.int32)
    for row in made:
        row[: random.integers(0, length)] = 5
    made[:, 0] = np.arange(count) + 1  # tells the rows apart
    return made


def epochs(seed, batch_size=8):
    from search.feeding import lengths_of, shuffled

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
    from search.feeding import shuffled

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

    from search.feeding import ignores_padding

    model = _texts(*make(keras.layers))
    before = model.get_weights()
    assert ignores_padding(model, _tokens()) is ignored
    assert all(map(np.array_equal, before, model.get_weights()))


@pytest.mark.slow
def test_nothing_is_cut_off_texts_of_one_length_or_other_samples():
    import keras

    from search.feeding import ignores_padding

    masked = [keras.layers.Embedding(9, 4, mask_zero=True), keras.layers.LSTM(3)]
    assert ignores_padding(_texts(*masked, length=20), _tokens()) is False
    assert ignores_padding(_texts(*masked), _tokens([20] * 8)) is False
    rows = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(2)])
    assert ignores_padding(rows, np.zeros((4, 5), np.float32)) is False
