from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from search.errors import DataError
from search.tasks import Scored
from search.tasks.classification import (
    Classification,
    ClassPredictions,
    classification_report,
    confusion_matrix,
    cross_entropy,
    macro_f1,
)

PROBABILITIES = np.array(
    [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.0, 0.0, 1.0]], dtype=np.float32
)
LABELS = np.array([0, 1, 1, 2])


def test_accuracy_and_loss_are_those_of_the_definition():
    assert (
        Classification(("a", "b", "c")).metric("accuracy").of(Scored(PROBABILITIES, LABELS)) == 0.75
    )
    assert cross_entropy(PROBABILITIES, LABELS) == pytest.approx(
        -np.log([0.7, 0.8, 0.3, 1.0]).mean(), rel=1e-6
    )


def test_a_certain_and_wrong_answer_has_a_finite_loss():
    assert cross_entropy(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(16.118, abs=1e-3)


def test_scores_agree_with_scikit_learn():
    from sklearn import metrics

    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(5), size=200)
    labels = random.integers(0, 5, 200)
    predictions = ClassPredictions.of(probabilities, labels)
    assert confusion_matrix(predictions, 5) == (
        metrics.confusion_matrix(labels, predictions.predicted).tolist()
    )
    expected = metrics.f1_score(labels, predictions.predicted, average="macro")
    assert macro_f1(predictions, 5) == pytest.approx(expected)
    assert cross_entropy(probabilities, labels) == pytest.approx(
        metrics.log_loss(labels, probabilities)
    )


def test_a_class_that_is_never_predicted_counts_as_zero():
    predictions = ClassPredictions.of(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 1]))
    assert macro_f1(predictions, 2) == pytest.approx((2 / 3) / 2)
    assert classification_report(predictions, ("a", "b"))["b"]["f1-score"] == 0.0


@pytest.mark.parametrize("weights", [None, np.arange(60) % 3 + 0.5, np.arange(60) % 2])
@pytest.mark.parametrize("true", [[0, 1], [1, 3], [2], [0, 1, 2, 3]])
@pytest.mark.parametrize("given", [[0, 1], [1], [0, 3], [0, 1, 2, 3]])
def test_macro_f1_leaves_out_what_scikit_learn_leaves_out(true, given, weights):
    random = np.random.default_rng(len(true) + len(given))
    labels = random.choice(true, 60)
    values = np.eye(4)[random.choice(given, 60)]
    wanted = f1_score(
        labels, values.argmax(axis=1), average="macro", sample_weight=weights, zero_division=0
    )
    found = Classification(tuple("abcd")).metric("macro_f1").of(Scored(values, labels, weights))
    assert found == pytest.approx(wanted, abs=1e-12)


def test_predictions_come_back_from_disk_and_join_in_order(tmp_path):
    predictions = ClassPredictions.of(PROBABILITIES, LABELS)
    predictions.save(tmp_path / "deep" / "fold.npz")
    loaded = ClassPredictions.load(tmp_path / "deep" / "fold.npz")
    joined = ClassPredictions.joined([loaded, predictions])
    assert joined.labels.tolist() == [*LABELS, *LABELS]
    assert joined.confidence[:4] == pytest.approx([0.7, 0.8, 0.6, 1.0])
    assert joined.truth[4:] == pytest.approx([0.7, 0.8, 0.3, 1.0])
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["fold.npz"]


DAMAGES = {
    "missing": Path.unlink,
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "empty": lambda path: path.write_bytes(b""),
    "no archive": lambda path: path.write_bytes(b"PK" + bytes(500)),
    "one array": lambda path: np.savez(path, labels=np.arange(4)),
    "a scalar": lambda path: np.savez(path, **dict.fromkeys(ARRAYS, np.array(1))),
    "shares for classes": lambda path: np.savez(path, **dict.fromkeys(ARRAYS, np.ones(4))),
    "a class below 0": lambda path: np.savez(path, **dict.fromkeys(ARRAYS, np.full(4, -1))),
    "arrays of two lengths": lambda path: np.savez(
        path, **dict.fromkeys(ARRAYS, np.arange(4)) | {"truth": np.ones(3)}
    ),
}
ARRAYS = ("labels", "predicted", "confidence", "truth")


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_predictions_that_are_not_whole_are_refused_by_name(tmp_path, damage):
    path = tmp_path / "fold.npz"
    ClassPredictions.of(np.eye(4, dtype=np.float32), np.arange(4)).save(path)
    assert len(ClassPredictions.load(path).labels) == 4
    damage(path)
    with pytest.raises(DataError, match=r"the predictions in .*fold\.npz (are|cannot)"):
        ClassPredictions.load(path)


def test_predictions_of_other_samples_are_refused(tmp_path):
    path = tmp_path / "fold.npz"
    ClassPredictions.of(np.eye(4, dtype=np.float32), np.arange(4)).save(path)
    assert ClassPredictions.load(path, targets=np.arange(4)).right.all()
    for labels in (np.arange(3), np.array([0, 1, 3, 2])):
        with pytest.raises(DataError, match="of other samples than the fold's"):
            ClassPredictions.load(path, targets=labels)
