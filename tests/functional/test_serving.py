"""`mlflow models serve` answers raw texts; what it does with images, `test_main_job` shows."""

import numpy as np
import pytest

from search.data.encoders import TableEncoder, TextEncoder
from search.data.reading import Column
from search.export.folder import ModelFolder
from search.export.labels import Labels
from search.tasks import Classification
from tests.functional.serving import served
from tests.studies import StudyBuilder
from tests.tracked import Tracked
from tracking.history import History
from tracking.records import ModelExported

pytestmark = pytest.mark.slow


def study_of(folder, written, kind):
    """Return a study whose model was exported to a folder."""
    study = StudyBuilder()
    study.session()
    study.complete_trial(0)
    study.records[0].dataset["kind"] = kind
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
    return study


@pytest.fixture
def texts(tmp_path):
    """A study with an exported model of texts, some texts, and what should be said of them."""
    from keras import Sequential, layers

    from search.export.formats import Samples, chosen_formats
    from search.export.formats.writing import exportable, write_formats

    labels = Labels(
        Classification(("bad", "good", "odd")), TextEncoder(("good", "bad", "it's"), 6, 8)
    )
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
    study = study_of(folder, written, "text")
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


@pytest.fixture
def rows(tmp_path):
    """A study with an exported model of rows with words, some rows, and what should be said."""
    from keras import Sequential, layers

    from search.export.formats import Samples, chosen_formats
    from search.export.formats.writing import exportable, write_formats

    columns = (Column("age (years)"), Column("city", "category", ("bergen", "oslo")))
    raw = np.array([[40, 0], [31.5, 1], [50, 1], [22, np.nan]])
    encoder = TableEncoder.fitted(raw, np.arange(4), columns, (True, True))
    labels = Labels(Classification(("no", "yes")), encoder, columns=columns)
    model = Sequential([layers.Input(encoder.input_shape), layers.Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    folder = tmp_path / "export"
    folder.mkdir()
    made = exportable(model, labels, Samples(raw, encoder.encode(raw)))
    written = write_formats(chosen_formats("saved_model"), made, folder, log=tmp_path / "log")
    return study_of(folder, written, "table"), np.asarray(model(encoder.encode(raw[1:])))


def test_rows_with_words_go_into_the_champion_column_by_column(rows, tmp_path):
    study, expected = rows
    tracked = Tracked(f"sqlite:///{tmp_path}/mlflow.db", tmp_path)
    sink, history = tracked.sink(), History()
    for record in study.records:
        sink.apply(history.add(record), history)
    given = {"age__years_": [31.5, 50.0, 22.0], "city": ["oslo", " oslo", ""]}
    with served(tmp_path / "mlflow.db", "lenet-digits", tmp_path) as answer:
        (found,) = answer(given).item().values()
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "formats"),
    [
        ("padded", "keras"),
        ("smaller", "saved_model"),
        ("12 bits", "keras"),
        ("sequences", "keras"),
        ("rows", "keras"),
        ("timestamps", "saved_model"),
    ],
)
def test_raw_numbers_go_into_the_champion_with_and_without_a_saved_model(kind, formats, tmp_path):
    from search.export.formats import chosen_formats
    from search.export.formats.writing import exportable, write_formats
    from tests.functional.test_raw_samples import KINDS

    made = exportable(*KINDS[kind]())
    folder = tmp_path / "export"
    folder.mkdir()
    written = write_formats(chosen_formats(formats), made, folder, log=tmp_path / "log")
    study = study_of(folder, written, made.labels.kind)
    study.records[0].dataset["classes"] = list(made.labels.task.names)
    tracked = Tracked(f"sqlite:///{tmp_path}/mlflow.db", tmp_path)
    sink, history = tracked.sink(), History()
    for record in study.records:
        sink.apply(history.add(record), history)
    given = made.samples.given
    given = np.nan_to_num(given, nan=50.0)  # JSON has no NaN
    expected = np.asarray(made.model(given))
    with served(tmp_path / "mlflow.db", "lenet-digits", tmp_path) as answer:
        np.testing.assert_allclose(answer(given.tolist()), expected, atol=1e-5)
        if kind in ("padded", "smaller"):
            np.testing.assert_allclose(answer((given / 255).tolist())[:3], expected[:3], atol=1e-5)
