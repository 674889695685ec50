"""Studies of several inputs and several outputs, from their data to predictions."""

import json
import re

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, root_mean_squared_error
from typer.testing import CliRunner

from search import SettingsError, compare_studies, run_study
from search.cli.app import app
from search.data.folds import Folds
from search.seeds import derive
from spaces import ImageInput, Int, Space, SpaceError, TableInput

pytestmark = pytest.mark.slow

SEED, EPOCHS, BATCH, COUNT = 4, 3, 32, 240
SMALL = {
    "folds": 2,
    "epochs": EPOCHS,
    "executor": "inline",
    "set": {"batch_size": BATCH},
    "seed": SEED,
    "pruner": "none",
}
WORDS = np.array(["good", "bad", "plot", "actor", "music"])


def pictures_and_rows(hp):
    """A model of a picture and a row that predicts a class and a number."""
    import keras
    from keras import layers

    picture, row = keras.Input((8, 8, 1), name="picture"), keras.Input((3,), name="row")
    both = layers.Concatenate()([layers.Flatten()(picture), row])
    hidden = layers.Dense(hp.Int("units", 8, 16), "relu")(both)
    outputs = {
        "kind": layers.Dense(3, "softmax")(hidden),
        "price": layers.Dense(1)(hidden),
    }
    model = keras.Model([picture, row], outputs)
    losses = {"kind": "sparse_categorical_crossentropy", "price": "mse"}
    model.compile(keras.optimizers.Adam(0.01), losses)
    return model


def texts_and_rows(hp):
    """A model of a text and a row that predicts a number."""
    import keras
    from keras import layers

    text, row = keras.Input((None,), name="text", dtype="int32"), keras.Input((2,), name="row")
    words = layers.GlobalAveragePooling1D()(layers.Embedding(10_000, 4)(text))
    hidden = layers.Dense(hp.Int("units", 4, 8), "relu")(layers.Concatenate()([words, row]))
    return keras.Model([text, row], layers.Dense(1)(hidden))


def bodies_and_bloods(hp):
    """A model of two groups of columns that predicts a class."""
    import keras
    from keras import layers

    body, blood = keras.Input((2,), name="body"), keras.Input((3,), name="blood")
    hidden = layers.Dense(hp.Int("units", 4, 8), "relu")(layers.Concatenate()([body, blood]))
    return keras.Model([body, blood], layers.Dense(2, "softmax")(hidden))


@pytest.fixture(scope="module")
def samples():
    """Pictures and rows; classes and prices that can be learned of them."""
    source = np.random.default_rng(0)
    pictures = source.integers(0, 256, (COUNT, 8, 8), dtype=np.uint8)
    rows = source.normal(size=(COUNT, 3))
    kinds = (rows[:, 0] > 0).astype(int) + (rows[:, 1] > 0)
    return {"picture": pictures, "row": rows}, {"kind": kinds, "price": 5e4 + 1e4 * rows[:, 2]}


@pytest.fixture(scope="module")
def both(samples, tmp_path_factory):
    """A study of both, exported, with the folder."""
    place = tmp_path_factory.mktemp("user")
    found = run_study(
        pictures_and_rows,
        data=samples,
        trials=2,
        pixels="scaled",
        home=place / "mlruns",
        study="both",
        notify=print,
        **SMALL,
    )
    found.export(place / "exported", notify=print)
    return found, place


def in_use(history, home):
    """Return the study's dataset."""
    from search.data.dataset import Dataset

    (folder,) = (home / "datasets").glob("memory-inputs-*")
    return Dataset.open(folder)


def test_scores_are_those_of_a_plain_keras_loop(both):
    import keras
    import keras_tuner

    found, place = both
    data = in_use(found.history, place / "mlruns")
    trial, folds = found.history.trials[0], Folds.load(found.folder.folds)
    targets = data.task.split(np.asarray(data.train_labels))
    kinds, prices = targets["kind"], targets["price"]
    picture = np.asarray(data.input("picture").train_images).astype(np.float32) / np.float32(255)
    rows = np.asarray(data.input("row").train_samples)
    accuracies, errors, losses = [], [], []
    for fold, (train, validation) in enumerate(zip(folds.train, folds.validation, strict=True)):
        seed = derive(SEED, "fold", fold + 1)
        keras.utils.set_random_seed(seed)
        hp = keras_tuner.HyperParameters()
        hp.Fixed("units", trial.params["units"])
        model = pictures_and_rows(hp)
        encoded = ((rows - rows[train].mean(0)) / rows[train].std(0)).astype(np.float32)
        mean, deviation = prices[train].mean(), prices[train].std()
        scaled = ((prices - mean) / deviation).astype(np.float32)
        for epoch in range(EPOCHS):
            order = np.random.default_rng((seed, epoch)).permutation(train)
            model.fit(
                {"picture": picture[order], "row": encoded[order]},
                {"kind": kinds[order], "price": scaled[order]},
                batch_size=BATCH,
                shuffle=False,
                verbose=0,
            )
        given = {"picture": picture[validation], "row": encoded[validation]}
        wanted = {"kind": kinds[validation], "price": scaled[validation]}
        said = model.predict(given, verbose=0)
        accuracies.append(accuracy_score(kinds[validation], said["kind"].argmax(1)))
        own = said["price"].astype(np.float64) * deviation + mean
        errors.append(root_mean_squared_error(prices[validation], own))
        losses.append(model.evaluate(given, wanted, verbose=0, return_dict=True)["loss"])
    scores = trial.ended.scores
    assert scores["cv_kind_accuracy"] == pytest.approx(np.mean(accuracies), abs=1e-6)
    assert scores["cv_price_rmse"] == pytest.approx(np.mean(errors), rel=1e-6)
    assert scores["cv_loss"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_an_export_predicts_as_its_archive_does_and_as_its_test_scores_say(both):
    import keras

    from search.export.predict import predict_arrays

    found, place = both
    folder, data = place / "exported", in_use(found.history, place / "mlruns")
    test, labels = data.open_test()
    targets = data.task.split(np.asarray(labels))
    arrays = {name: np.asarray(values) for name, values in test.inputs.items()}
    said = predict_arrays(folder, arrays)
    model = keras.saving.load_model(folder / "model.keras")
    raw = model.predict(arrays, verbose=0)
    np.testing.assert_allclose(said["kind"], raw["kind"], atol=1e-6)
    np.testing.assert_allclose(said["price"], raw["price"], rtol=1e-6)
    opened = found.history.test_openings or load_again(found).test_openings
    scores = opened[-1].scores
    predicted = said["kind"].argmax(1)
    assert scores["kind_accuracy"] == pytest.approx(accuracy_score(targets["kind"], predicted))
    assert scores["kind_macro_f1"] == pytest.approx(
        f1_score(targets["kind"], predicted, average="macro", zero_division=0)
    )
    rmse = root_mean_squared_error(targets["price"], said["price"])
    assert scores["price_rmse"] == pytest.approx(rmse, rel=1e-6)


def load_again(found):
    """Return the study's history as its journal has it now."""
    from search.studies import study_history

    return study_history(found.folder)


def test_the_command_line_predicts_an_archive_of_arrays(both, samples):
    from search.export.predict import predict_arrays

    _, place = both
    arrays = {name: values[:4] for name, values in samples[0].items()}
    np.savez(place / "some.npz", **arrays)
    said = predict_arrays(place / "exported", arrays)
    ran = CliRunner().invoke(
        app, ["predict", str(place / "exported"), str(place / "some.npz"), "--json"]
    )
    assert ran.exit_code == 0, ran.output
    shown = json.loads(ran.stdout)
    assert [each["outputs"]["kind"]["class"] for each in shown] == [
        str(number) for number in said["kind"].argmax(1)
    ]
    prices = [each["outputs"]["price"]["numbers"]["price"] for each in shown]
    np.testing.assert_allclose(prices, said["price"][:, 0], rtol=1e-6)
    np.savez(place / "less.npz", picture=arrays["picture"])
    ran = CliRunner().invoke(app, ["predict", str(place / "exported"), str(place / "less.npz")])
    assert ran.exit_code != 0


FORMATS = ["keras", "saved_model", "tflite", "onnx"]


@pytest.fixture(scope="module")
def in_all_formats(both):
    """The folder of an export in all formats."""
    found, place = both
    folder = place / "all" / "exported"
    found.export(folder, formats=FORMATS, notify=print)
    return folder


def test_all_formats_are_written_and_the_cards_code_gives_the_same_answers(in_all_formats):
    from tests.functional.test_raw_samples import run_snippets

    formats = _formats(in_all_formats)
    assert [each["format"] for each in formats] == FORMATS
    assert max(each["difference"] for each in formats) < 1e-5
    answers = run_snippets(in_all_formats.parent)
    assert [name for name, *_ in answers] == ["exported"] * len(FORMATS)
    numbers = [re.findall(r"-?\d+\.\d+(?:e-?\d+)?", " ".join(lines)) for _, *lines in answers]
    assert all(len(each) == 4 for each in numbers), answers  # three classes and a price
    first, *others = np.array(numbers, float)
    for each in others:
        np.testing.assert_allclose(each, first, rtol=1e-4)


def test_a_saved_model_takes_arrays_as_they_usually_are(in_all_formats, samples):
    import tensorflow as tf

    from search.export.predict import predict_arrays

    given = {"picture": samples[0]["picture"][:5, ..., np.newaxis], "row": samples[0]["row"][:5]}
    assert [values.dtype for values in given.values()] == [np.uint8, np.float64]
    expected = predict_arrays(in_all_formats, {n: v[:5] for n, v in samples[0].items()})
    loaded = tf.saved_model.load(str(in_all_formats / "saved_model"))
    plain = {name: values.astype(np.float32) for name, values in given.items()}
    mixed = {"picture": given["picture"][..., 0], "row": plain["row"]}
    for each in (given, plain, mixed):
        found = loaded.serve({name: tf.constant(values) for name, values in each.items()})
        np.testing.assert_allclose(found["kind"], expected["kind"], atol=1e-6)
        np.testing.assert_allclose(found["price"], expected["price"], rtol=1e-6)
    with pytest.raises(tf.errors.InvalidArgumentError, match="no samples of the model"):
        loaded.serve({name: tf.constant(values * 1e9) for name, values in plain.items()})


def test_the_champion_of_several_inputs_and_outputs_is_served(in_all_formats, both, tmp_path):
    from search.export.predict import predict_arrays
    from tests.functional.serving import served

    found, place = both
    found.export(place / "served", overwrite=True, force=True, notify=print)
    pictures = np.random.default_rng(3).integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
    given = {"picture": pictures, "row": np.linspace(-1, 1, 9).reshape(3, 3)}
    expected = predict_arrays(place / "served", given)
    with served(place / "mlruns" / "mlflow.db", "both", tmp_path) as answer:
        said = answer({name: values.tolist() for name, values in given.items()}).item()
    np.testing.assert_allclose(said["kind"], expected["kind"], atol=1e-6)
    np.testing.assert_allclose(said["price"], expected["price"][:, 0], rtol=1e-6)


def test_an_average_of_two_trainings_gives_the_means_of_their_values(both, samples):
    from search.export.predict import predict_arrays

    found, place = both
    found.export(place / "averaged", refits=2, notify=print)
    said = predict_arrays(place / "averaged", {n: v[:9] for n, v in samples[0].items()})
    np.testing.assert_allclose(said["kind"].sum(1), 1, atol=1e-5)
    assert abs(said["price"].mean() - 5e4) < 1e4


def test_mlflow_has_each_outputs_report_and_a_model_with_named_inputs(both, monkeypatch):
    import mlflow

    _, place = both
    # Not by `mlflow.set_tracking_uri`, which outlasts the test.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place / 'mlruns' / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("both")
    runs = client.search_runs([experiment.experiment_id], "tags.`search.kind` = 'trial'")
    for run in runs:
        kinds = [each.path for each in client.list_artifacts(run.info.run_id, "kind")]
        prices = [each.path for each in client.list_artifacts(run.info.run_id, "price")]
        assert "kind/confusion_matrix.png" in kinds
        assert {"price/predictions.png", "price/regression_report.json"} <= set(prices)
    assert "2 outputs: `kind` (classification)" in experiment.tags["mlflow.note.content"]
    signature = mlflow.models.get_model_info("models:/both@champion").signature
    assert {each.name for each in signature.inputs} == {"picture", "row"}
    assert {each.name: each.shape for each in signature.outputs} == {
        "kind": (-1, 3),
        "price": (-1, 1),
    }
    loaded = mlflow.pyfunc.load_model("models:/both@champion")
    given = {"picture": np.zeros((2, 8, 8, 1), np.float32), "row": np.zeros((2, 3), np.float32)}
    assert np.shape(loaded.predict(given)["kind"]) == (2, 3)


def test_a_report_and_a_comparison_have_a_part_for_each_output(both):
    from search.analysis.report.figures import figures
    from search.analysis.report.subject import Subject

    found, place = both
    page = found.report(place / "report.html").read_text()
    assert "Output kind, classification" in page
    assert "Output price, regression" in page
    parts = Subject(found.history).outputs
    assert {"confusion", "class_scores"} <= set(figures(parts["kind"].history))
    assert {"residuals", "errors_by_size"} <= set(figures(parts["price"].history))
    compared = compare_studies("both", trials="0,1", home=place / "mlruns", notify=print)
    assert {each.name for each in compared.pairs[0].errors} == {
        "wrong classes of kind",
        "squared errors of price",
        "absolute errors of price",
    }


def test_a_dataset_is_described_input_by_input_and_output_by_output(both):
    from search.data.description import describe
    from search.data.figures import figures

    found, place = both
    described = describe(in_use(found.history, place / "mlruns"))
    known = described.to_json()
    assert set(known["inputs"]) == {"picture", "row"}
    assert known["inputs"]["row"]["shape"] == [3]
    assert sum(each["train"] for each in known["outputs"]["kind"]["classes"]) == known["train"]
    assert known["outputs"]["price"]["numbers"][0]["name"] == "price"
    names = {name for name, _ in figures(described)}
    assert {"kind-classes.png", "price-targets.png", "picture-samples.png"} <= names


def _formats(folder):
    return json.loads((folder / "metrics.json").read_text())["formats"]


def test_texts_and_rows_are_searched_exported_and_predicted(tmp_path):
    import tensorflow as tf

    from search.export.formats.saved_model import served_by
    from search.export.predict import predict_arrays

    source = np.random.default_rng(1)
    texts = np.array([" ".join(source.choice(WORDS, 6)) for _ in range(120)])
    rows = source.normal(size=(120, 2))
    wanted = np.char.count(texts, "good") + rows[:, 0] + 0.01
    found = run_study(
        texts_and_rows,
        data=({"text": texts, "row": rows}, wanted),
        trials=1,
        home=tmp_path / "mlruns",
        driver="keras-tuner",
        sampler="random",
        notify=print,
        **SMALL,
    )
    assert found.best.ended.scores["cv_rmse"] > 0
    found.export(tmp_path / "exported", notify=print)
    said = predict_arrays(tmp_path / "exported", {"text": texts[:5], "row": rows[:5]})
    assert said["numbers"].shape == (5, 1)
    given = {"text": tf.constant(texts[:5]), "row": tf.constant(rows[:5])}
    [told] = served_by(tmp_path / "exported" / "saved_model", [given])
    np.testing.assert_allclose(told, said["numbers"], rtol=1e-5)
    [taken] = [e for e in _formats(tmp_path / "exported") if e["format"] == "saved_model"]
    assert sorted(taken["tensors"], key=lambda each: each["name"]) == [
        {"name": "row", "type": "float32", "input": "row", "shape": [2]},
        {"name": "text", "type": "str", "input": "text"},
    ]


def test_groups_of_a_tables_columns_are_predicted_from_tables(tmp_path):
    import tensorflow as tf

    from search.export.formats.saved_model import served_by
    from tests.functional.test_raw_samples import run_snippets

    source = np.random.default_rng(2)
    values = source.normal(size=(160, 4))
    kinds = np.where(values[:, 0] + values[:, 3] > 0, "ill", "well")
    table = tmp_path / "patients.csv"
    lines = [
        ",".join([f"{row[0]:.6f}", f"{row[1]:.6f}", f"{row[2]:.6f}", grade, kind])
        for row, kind in zip(values, kinds, strict=True)
        for grade in ["high" if row[3] > 0 else "low"]
    ]
    table.write_text("\n".join(["age,bmi,iron,sugar level,state", *lines]) + "\n")
    found = run_study(
        bodies_and_bloods,
        dataset=f"csv:{table}",
        target="state",
        input=["body=age,bmi", "blood=*"],
        trials=1,
        home=tmp_path / "mlruns",
        notify=print,
        **SMALL,
    )
    found.export(tmp_path / "exported", notify=print)
    ran = CliRunner().invoke(app, ["predict", str(tmp_path / "exported"), str(table), "--json"])
    assert ran.exit_code == 0, ran.output
    predicted = json.loads(ran.stdout)
    assert len(predicted) == 160
    given = {
        "body": tf.constant(np.round(values[:, :2], 6)),
        "blood_iron": tf.constant(np.round(values[:, 2], 6)),
        "blood_sugar_level": tf.constant(np.where(values[:, 3] > 0, "high", "low")),
    }
    [served] = served_by(tmp_path / "exported" / "saved_model", [given])
    names = np.array(["ill", "well"])
    assert names[served.argmax(1)].tolist() == [each["class"] for each in predicted]
    np.testing.assert_allclose(served.max(1), [e["probability"] for e in predicted], atol=1e-5)
    card = (tmp_path / "exported" / "MODEL_CARD.md").read_text()
    assert "| sugar level | `blood_sugar_level` |" in card
    assert "`blood`: Rows are as in the file" in card
    assert len(run_snippets(tmp_path)) == 2


def build_own(params, data):
    import keras
    from keras import layers

    inputs = {name: keras.Input(spec.input_shape, name=name) for name, spec in data.inputs}
    flat = [layers.Flatten()(each) for each in inputs.values()]
    hidden = layers.Dense(params["units"], "relu")(layers.Concatenate()(flat))
    return keras.Model(inputs, layers.Dense(data.outputs, activation=data.activation)(hidden))


OWN = Space(
    name="own",
    build=build_own,
    parameters=(Int("units", 4, 8, default=4),),
    inputs={"picture": ImageInput(scaled=True), "row": TableInput()},
    baselines={"small": {"units": 4}},
)


def test_a_space_declares_its_inputs_by_name(samples, tmp_path):
    given, targets = samples
    found = run_study(
        OWN,
        data=(given, targets["kind"]),
        trials=1,
        home=tmp_path / "mlruns",
        notify=print,
        **SMALL,
    )
    assert "cv_accuracy" in found.best.ended.scores
    with pytest.raises(SettingsError, match="takes an input row of table samples"):
        run_study(
            OWN,
            data=({"picture": given["picture"], "line": given["row"]}, targets["kind"]),
            trials=1,
            home=tmp_path / "mlruns",
            notify=print,
            **SMALL,
        )
    with pytest.raises(SpaceError, match="must be an ImageInput"):
        Space(name="wrong", build=build_own, parameters=(), inputs={"row": "table"})


def test_built_in_spaces_refuse_several_inputs_and_outputs(samples, tmp_path):
    given, targets = samples
    more = {"trials": 1, "home": tmp_path / "mlruns", "notify": print, **SMALL}
    with pytest.raises(SettingsError, match=r'declare `inputs={"picture": ImageInput\(\)'):
        run_study("mlp", data=(given, targets["kind"]), **more)
    with pytest.raises(SettingsError, match="has models with one output"):
        run_study("mlp", data=(given["row"], targets), **more)


def of_one(as_dictionary):
    """Return a function that builds models of one input and output, in dictionaries or not."""

    def build(hp):
        import keras
        from keras import layers

        row = keras.Input((3,), name="row")
        hidden = layers.Dense(hp.Int("units", 4, 8), "relu")(row)
        found = layers.Dense(1, "sigmoid")(hidden)
        if as_dictionary:
            model = keras.Model({"row": row}, {"ill": found})
            model.compile("adam", {"ill": "binary_crossentropy"})
        else:
            model = keras.Model(row, found)
            model.compile("adam", "binary_crossentropy")
        return model

    return build


@pytest.mark.filterwarnings("ignore:The structure of `inputs`")  # Keras's, which then goes on
def test_dictionaries_of_one_input_and_one_output_are_as_these_alone(samples, tmp_path):
    rows, ill = samples[0]["row"], (samples[0]["row"][:, 0] > 0).astype(int)
    scores = []
    for as_dictionary in (False, True):
        data = ({"row": rows}, {"ill": ill}) if as_dictionary else (rows, ill)
        found = run_study(
            of_one(as_dictionary),
            data=data,
            trials=1,
            home=tmp_path / f"{as_dictionary}",
            notify=print,
            **SMALL,
        )
        scores.append(found.best.ended.scores)
    assert scores[0]["cv_accuracy"] == scores[1]["cv_accuracy"]
    assert scores[0]["cv_loss"] == pytest.approx(scores[1]["cv_loss"], rel=1e-6)
    found.export(tmp_path / "exported", notify=print)
    assert max(each["difference"] for each in _formats(tmp_path / "exported")) < 1e-5
