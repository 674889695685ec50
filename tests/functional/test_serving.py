"""`mlflow models serve` answers raw texts; what it does with images, `test_main_job` shows."""

import numpy as np
import pytest

from search.data.inputs import TextEncoder
from search.export.folder import Labels, ModelFolder
from tests.functional.serving import served
from tests.studies import StudyBuilder
from tests.tracked import Tracked
from tracking.history import History
from tracking.records import ModelExported

pytestmark = pytest.mark.slow


@pytest.fixture
def texts(tmp_path):
    """A study with an exported model of texts, some texts, and what should be said of them."""
    from keras import Sequential, layers

    from search.export.formats import Samples, chosen_formats
    from search.export.formats.writing import exportable, write_formats

    labels = Labels(("bad", "good", "odd"), TextEncoder(("good", "bad", "it's"), 6, 8))
    model = Sequential(
        [
            layers.Input((6,), dtype="int32"),
            layers.Embedding(8, 4),
            layers.Flatten(),
            layers.Dense(3, "softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    said = ["good, GOOD film!", "", "IT'S bad?", "日本 good"]
    tokens = labels.encoder.encode(said)
    folder = tmp_path / "export"
    folder.mkdir()
    made = exportable(model, labels, Samples(said, tokens))
    written = write_formats(chosen_formats("saved_model"), made, folder, log=tmp_path / "log")
    study = StudyBuilder()
    study.session()
    study.complete_trial(0)
    study.records[0].dataset["kind"] = "text"
    study.add(
        ModelExported,
        trial=0,
        folder=str(folder),
        model_sha256=ModelFolder(folder).model_sha256(),
        curves=[],
        train_seconds=1.0,
        model_parameters=9,
        requirements=["tensorflow==2.21.0"],
        formats=[each.to_json() for each in written],
    )
    return study, said, np.asarray(model(tokens))


def test_raw_texts_go_into_the_champion_of_a_study_of_texts(texts, tmp_path):
    study, said, expected = texts
    tracked = Tracked(f"sqlite:///{tmp_path}/mlflow.db", tmp_path)
    sink, history = tracked.sink(), History()
    for record in study.records:
        sink.apply(history.add(record), history)
    with served(tmp_path / "mlflow.db", "lenet-digits", tmp_path) as answer:
        np.testing.assert_allclose(answer(said), expected, atol=1e-6)
    assert not list(tmp_path.rglob("*.pkl"))
