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


def test_images_of_a_model_are_left_alone_by_it():
    import keras

    from search.feeding import takes_any_length

    def model(*shape):
        return keras.Sequential([keras.layers.Input(shape), keras.layers.Dense(2)])

    texts = [keras.layers.Input((None,)), keras.layers.Embedding(9, 4, mask_zero=True)]
    assert takes_any_length(keras.Sequential(texts)) is True
    assert takes_any_length(model(5)) is False
    assert takes_any_length(model(5, 3)) is False
