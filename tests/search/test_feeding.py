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
    from search.feeding import sequence_batches

    data = sequence_batches((tokens(), np.arange(500)), batch_size=batch_size, seed=seed)
    return [list(data.as_numpy_iterator()) for _ in "ab"]


def test_every_sequence_comes_once_an_epoch_with_its_label():
    for epoch in epochs(1):
        firsts = np.concatenate([texts[:, 0] for texts, _ in epoch])
        labels = np.concatenate([labels for _, labels in epoch])
        assert np.array_equal(firsts, labels + 1)
        assert sorted(labels) == list(range(500))


def test_batches_are_cut_to_their_longest_and_hold_little_padding():
    first, _ = epochs(1)
    assert all((texts != 0).any(axis=0).all() for texts, _ in first)
    padding = sum((texts == 0).sum() for texts, _ in first)
    assert padding < 0.05 * sum(texts.size for texts, _ in first)


def test_batches_come_in_another_order_every_epoch_and_the_same_for_a_seed():
    (first, second), (again, _), (other, _) = epochs(1), epochs(1), epochs(2)
    order = [labels.tolist() for _, labels in first]
    assert order == [labels.tolist() for _, labels in again]
    assert order != [labels.tolist() for _, labels in second]
    assert order != [labels.tolist() for _, labels in other]
    lengths = [texts.shape[1] for texts, _ in first]
    assert lengths != sorted(lengths)


def test_images_of_a_model_are_left_alone_by_it():
    import keras

    from search.feeding import takes_any_length

    def model(*shape):
        return keras.Sequential([keras.layers.Input(shape), keras.layers.Dense(2)])

    texts = [keras.layers.Input((None,)), keras.layers.Embedding(9, 4, mask_zero=True)]
    assert takes_any_length(keras.Sequential(texts)) is True
    assert takes_any_length(model(5)) is False
    assert takes_any_length(model(5, 3)) is False
