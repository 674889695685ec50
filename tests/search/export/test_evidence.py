"""What is known of a final model, from files of this version and of earlier ones."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from search.analysis.coverage import conformal
from search.export.evidence import Evidence
from search.export.members import Member
from search.tasks import Classification
from search.tasks.classification import ClassPredictions
from tests.search.analysis.predicting import logits_of, softmax, study_of
from tests.studies import CLASSES

THREE = Classification(tuple(CLASSES))
DATASET = SimpleNamespace(train_extra=lambda name: None)


def evidence_of(root, power, samples=400):
    logits, labels = logits_of(samples, 3)
    values = softmax(power * logits).astype(np.float32)
    history, folder = study_of(root, THREE, labels, [values])
    return Evidence(history, folder, DATASET), values, labels


def test_a_model_like_those_out_of_fold_is_calibrated(tmp_path):
    evidence, _, _ = evidence_of(tmp_path, 3)
    found = evidence.belief([Member(0)], samples=400, searched=400)
    assert found.calibration.kind == "temperature"
    assert "calibrated by a temperature of" in found.told
    plain = found.uncalibrated()
    assert (plain.calibration.kind, plain.conformal) == ("none", found.plain)
    assert plain.to_json() == {"kind": "none", "why": "it was not asked for"}


@pytest.mark.parametrize(
    ("members", "samples", "why"),
    [
        ([Member(0, 1.0, 3)], 400, "averages of several seeds are less sure"),
        ([Member(0)], 4_000, "it sees 4,000 samples, where the search"),
    ],
)
def test_a_model_unlike_those_out_of_fold_is_not(tmp_path, members, samples, why):
    evidence, _, _ = evidence_of(tmp_path, 3)
    found = evidence.belief(members, samples=samples, searched=400)
    assert found.calibration.kind == "none"
    assert why in found.told
    assert found.conformal is not None


def test_sets_of_earlier_versions_are_made_of_the_true_class_alone(tmp_path):
    evidence, values, labels = evidence_of(tmp_path, 1)
    for path in evidence.folder.all_predictions.iterdir():
        replace(ClassPredictions.load(path), halves=None).save(path)
    found = evidence.belief([Member(0)], samples=400, searched=400)
    assert found.calibration.kind == "none"
    assert "earlier version" in found.why
    wanted = conformal(values, labels, THREE)
    assert found.conformal.limits(0.9) == pytest.approx(wanted.limits(0.9), abs=1e-6)


def test_nothing_is_known_without_predictions(tmp_path):
    evidence, _, _ = evidence_of(tmp_path, 1)
    for path in evidence.folder.all_predictions.iterdir():
        path.unlink()
    found = evidence.belief([Member(0)], samples=400, searched=400)
    assert found.conformal is None
    assert "not calibrated" in found.told
    trial = evidence.history.trials[0]
    assert evidence.members("auto", 1, trial, lambda text: None) == (Member(0, 1.0, 1),)
