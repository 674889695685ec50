"""Every format answers raw samples alike, in a process without this project."""

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from search.data.encoders import ImageEncoder, SequenceEncoder, TableEncoder, TextEncoder
from search.data.ranges import FRACTIONS, WHOLE, PixelRange
from search.data.reading import Column
from search.errors import SettingsError
from search.export.formats.base import Samples
from search.export.labels import Labels
from search.export.raw import raw_samples
from search.tasks import Classification, LabelOutputs, MultiLabel, NumberOutputs, Regression
from search.tasks.classification import LOGITS, Outputs

pytestmark = pytest.mark.slow

CHANCE = np.random.default_rng(0)
CLASSES, TWO = Classification(("a", "b", "c")), Classification(("no", "yes"))


def image_case(native, shape, task, *, scaled=True, ranged=None, outputs=None):
    """Return a convolutional model of images, its labels, and samples."""
    from keras import Sequential, layers

    encoder = ImageEncoder(native, shape, scaled, ranged)
    pixels = CHANCE.integers(0, 256, (7, *native)).astype(np.uint8)
    pixels[3], pixels[4] = 0, pixels[4] // 200  # black, and of nothing but 0 and 1
    units = {"no": 1, "age": 1}.get(task.names[0], 3)
    model = Sequential([layers.Input(shape)])
    if not scaled:
        model.add(layers.Rescaling(1 / 255))
    for layer in (layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten()):
        model.add(layer)
    activation = None if outputs else "sigmoid" if units == 1 else "softmax"
    model.add(layers.Dense(units, activation=activation))
    labels = Labels(task, encoder, outputs=outputs)
    return model, labels, Samples(pixels, encoder.encode(pixels))


def row_case(columns, raw, task, outputs=None, gaps=True):
    """Return a model of rows, its labels, and samples."""
    from keras import Sequential, layers

    encoder = TableEncoder.fitted(raw, np.arange(len(raw)), columns, (gaps,) * len(columns))
    units = 1 if task is TWO else task.units
    activation = None if outputs else "sigmoid" if units == 1 else "softmax"
    model = Sequential([layers.Input(encoder.input_shape), layers.Dense(4, "tanh")])
    model.add(layers.Dense(units, activation=activation))
    labels = Labels(task, encoder, columns=columns, outputs=outputs)
    return model, labels, Samples(raw, encoder.encode(raw))


def numbers(far=0.0):
    raw = far + CHANCE.normal((50, 1), (9, 0.5), (8, 2))
    raw[2, 0] = raw[5, 1] = np.nan
    return raw


def words():
    columns = (Column("age"), Column("city", "category", ("bergen", "oslo")), Column("ok", "truth"))
    raw = np.array([[40, 0, 1], [31.5, 1, 0], [np.nan, 1, np.nan], [22, np.nan, 1], [30, -1, 0]])
    return columns, raw


def text_case():
    from keras import Sequential, layers

    encoder = TextEncoder(("good", "bad", "it's"), 6, 8)
    said = ["good, GOOD film!", "", "IT'S bad?", "good " * 9]
    model = Sequential([layers.Input((6,), dtype="int32"), layers.Embedding(8, 4)])
    model.add(layers.Flatten())
    model.add(layers.Dense(3))
    labels = Labels(MultiLabel(("x", "y", "z")), encoder, outputs=LabelOutputs(LOGITS))
    return model, labels, Samples(said, encoder.encode(said))


def sequence_case():
    from keras import Sequential, layers

    raw = CHANCE.normal((100, -3), (20, 2), (6, 5, 2))
    encoder = SequenceEncoder.fitted(raw, np.arange(6))
    model = Sequential([layers.Input((5, 2)), layers.Conv1D(3, 2), layers.Flatten()])
    model.add(layers.Dense(2))
    labels = Labels(TWO, encoder, outputs=Outputs(LOGITS, 2))
    return model, labels, Samples(raw, encoder.encode(raw))


AGE = {"task": Regression(("age",)), "outputs": NumberOutputs((17.5,), (40.0,))}
TAGS = {"task": MultiLabel(("x", "y", "z")), "outputs": LabelOutputs(LOGITS)}
XY = (Column("x"), Column("y"))
KINDS = {
    "padded": lambda: image_case((28, 28, 1), (32, 32, 1), CLASSES),
    "smaller": lambda: image_case((64, 60, 1), (32, 32, 1), TWO, scaled=False),
    "larger": lambda: image_case((8, 8, 1), (20, 24, 1), **AGE),
    "in colour to grey": lambda: image_case((24, 26, 3), (28, 28, 1), **TAGS),
    "resized to grey": lambda: image_case((40, 20, 3), (16, 28, 1), CLASSES),
    "grey to colour": lambda: image_case((20, 45, 1), (32, 32, 3), TWO),
    "12 bits": lambda: image_case(
        (16, 16, 1), (20, 20, 1), CLASSES, ranged=PixelRange(0, 4095, WHOLE)
    ),
    "reflectances": lambda: image_case(
        (16, 16, 1), (12, 12, 1), CLASSES, ranged=PixelRange(0, 1.02, FRACTIONS)
    ),
    "rows": lambda: row_case(XY, numbers(), CLASSES),
    "rows without gaps": lambda: row_case(XY, np.nan_to_num(numbers(), nan=50), gaps=False, **AGE),
    "timestamps": lambda: row_case(XY, numbers(1.7e9), TWO),
    "words": lambda: row_case(*words(), TWO),
    "texts": text_case,
    "sequences": sequence_case,
}
WIDE = {"timestamps"}
ALONE = """
    import json, pathlib, sys

    class Blocked:
        def find_spec(self, name, *_):
            if name.partition(".")[0] in ("search", "spaces", "tracking"):
                raise ImportError(name)

    sys.meta_path.insert(0, Blocked())
    import numpy as np, keras, onnxruntime, tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    for place in sorted(pathlib.Path(sys.argv[1]).iterdir()):
        given = dict(np.load(place / "given.npz"))
        model = keras.saving.load_model(place / "model.keras")
        served = tf.saved_model.load(str(place / "saved_model"))
        session = onnxruntime.InferenceSession(place / "model.onnx")
        found = {}
        for name, x in given.items():
            if name.startswith("flat") and "flat" not in " ".join(found):
                model = keras.saving.load_model(place / "model.keras")  # Keras traces one rank
            wide = x.dtype == np.float64 and model.input.dtype == "float64"
            found[f"keras {name}"] = np.asarray(model(x) if wide else model.predict(x, verbose=0))
            if not (place / "served.json").exists():
                found[f"saved_model {name}"] = served.serve(tf.constant(x)).numpy()
            if x.dtype == model.input.dtype and x.ndim == len(model.input.shape):
                [found[f"onnx {name}"]] = session.run(None, {"inputs": x})
                if not (place / "model.tflite").exists():
                    continue
                lite = Interpreter(str(place / "model.tflite"))
                (taken,), (out,) = lite.get_input_details(), lite.get_output_details()
                one = taken["shape_signature"][0] == 1
                rows = []
                for batch in np.split(x, len(x)) if one else [x]:
                    lite.resize_tensor_input(taken["index"], batch.shape)
                    lite.allocate_tensors()
                    lite.set_tensor(taken["index"], batch)
                    lite.invoke()
                    rows.append(lite.get_tensor(out["index"]).copy())
                found[f"tflite {name}"] = np.concatenate(rows)
        if (place / "served.json").exists():
            said = json.loads((place / "served.json").read_text())
            if isinstance(said, dict):
                said = {
                    n: tf.constant(v, tf.string if isinstance(v[0], str) else tf.float64)
                    for n, v in said.items()
                }
            found["saved_model words"] = served.serve(said).numpy()
        np.savez(place / "found.npz", **found)
    assert not {"search", "spaces", "tracking"} & {name.partition(".")[0] for name in sys.modules}
"""


def variants(labels, samples):
    """Return the same samples as people send them, by name."""
    given = raw_samples(samples.raw, labels)
    found = {"as documented": given}
    if labels.kind == "image":
        if labels.encoder.pixel_range is None:
            pixels = samples.raw
            found |= {"float 255": pixels.astype(np.float32), "float 1": pixels / 255}
            found |= {"uint8": pixels, "int64": pixels.astype(np.int64)}
        elif labels.encoder.pixel_range.depth == WHOLE:
            found["whole"] = np.rint(given).astype(np.uint16)
        if given.shape[-1] == 1:
            found |= {f"flat {name}": each[..., 0] for name, each in found.items()}
    if labels.kind in ("table", "sequence") and given.dtype == np.float32:
        found["float64"] = given.astype(np.float64)
    return found


def said(labels, samples):
    """Return samples with their words as a SavedModel takes them; None for numbers."""
    if labels.kind == "text":
        return samples.raw
    if not any(column.words for column in labels.columns):
        return None
    cities = {0: "bergen", 1: " oslo", -1: "Paris"}
    return {
        "age": [value if value == value else float("nan") for value in samples.raw[:, 0].tolist()],
        "city": [cities.get(value, "") for value in samples.raw[:, 1].tolist()],
        "ok": [float(value) for value in samples.raw[:, 2].tolist()],
    }


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Return by kind what is expected, and what each format says of each variant."""
    from search.export.formats import chosen_formats
    from search.export.formats.writing import exportable, write_formats

    place = tmp_path_factory.mktemp("raw")
    known = {}
    for kind, case in KINDS.items():
        model, labels, samples = case()
        made = exportable(model, labels, samples)
        folder = place / kind
        folder.mkdir()
        formats = "keras,saved_model,onnx" + (",tflite" if kind not in WIDE else "")
        write_formats(chosen_formats(formats), made, folder, log=place.parent / "log")
        np.savez(folder / "given.npz", **variants(made.labels, samples))
        words_given = said(labels, samples)
        if words_given is not None:
            (folder / "served.json").write_text(json.dumps(words_given))
        known[kind] = made.expected
        if kind in WIDE:
            with pytest.raises(SettingsError, match="subtract a constant from their columns"):
                write_formats(chosen_formats("tflite")[1:], made, folder, log=place.parent / "log")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(ALONE), place],
        cwd=place,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return {
        kind: (expected, dict(np.load(place / kind / "found.npz")))
        for kind, expected in known.items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_all_formats_answer_raw_samples_alike(answers, kind):
    expected, found = answers[kind]
    formats = {name.partition(" ")[0] for name in found}
    assert formats == {"keras", "saved_model", "onnx", *([] if kind in WIDE else ["tflite"])}
    for name, values in found.items():
        rows = slice(None)
        is_unseen = "uint8" in name and "saved_model" not in name
        if "float 255" in name or "int64" in name or is_unseen:
            rows = [0, 1, 2, 3, 5, 6]  # where uint8 is not seen, 0 and 1 are black and white
        np.testing.assert_allclose(
            values[rows], expected[rows], atol=1e-5 * max(1, np.abs(expected).max()), err_msg=name
        )


SNIPPETS = ("padded", "12 bits", "larger", "rows", "timestamps", "words", "texts", "sequences")
BARE = """
    import os, pathlib, re, sys

    class Blocked:
        def find_spec(self, name, *_):
            if name.partition(".")[0] in ("search", "spaces", "tracking"):
                raise ImportError(name)

    sys.meta_path.insert(0, Blocked())
    for place in sorted(pathlib.Path(sys.argv[1]).iterdir()):
        if not (place / "MODEL_CARD.md").exists():
            continue
        os.chdir(place)
        card = (place / "MODEL_CARD.md").read_text()
        for code in re.findall("```python\\n(.*?)```", card, re.S):
            print("#", place.name, flush=True)
            exec(compile(code, str(place), "exec"), {})
"""


def run_snippets(folder):
    """Run the code of all cards in folders of a folder; return what each block printed, in lines.

    The first line is the name of its folder.
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(BARE), folder],
        # A SavedModel's dictionary has another order than with most seeds.
        env=os.environ | {"PYTHONHASHSEED": "2"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [part.splitlines() for part in done.stdout.split("# ")[1:]]


def test_every_snippet_of_the_card_runs_in_the_folder_alone(tmp_path):
    from search.export.card import model_card
    from search.export.folder import ModelFolder
    from search.export.formats import chosen_formats
    from search.export.formats.writing import exportable, write_formats
    from tests.functional.test_serving import study_of

    counts = {}
    for kind in SNIPPETS:
        made = exportable(*KINDS[kind]())
        folder = tmp_path / "cards" / kind
        folder.mkdir(parents=True)
        formats = "keras,saved_model,onnx" + (",tflite" if kind not in WIDE else "")
        written = write_formats(chosen_formats(formats), made, folder, log=tmp_path / "log")
        ModelFolder(folder).write_labels(made.labels)
        study = study_of(folder, written, made.labels.kind)
        study.records[0].dataset["classes"] = list(made.labels.task.names)
        if isinstance(made.labels.task, Classification):
            card = model_card(study.history, study.history.exports[-1], None)
        else:
            study.records[0].dataset["task"] = made.labels.task.name
            card = "\n".join(_uses(study))
        (folder / "MODEL_CARD.md").write_text(card)
        counts[kind] = len(written)
    answers = run_snippets(tmp_path / "cards")
    found = {kind: [lines[1:] for lines in answers if lines[0] == kind] for kind in SNIPPETS}
    assert {kind: len(each) for kind, each in found.items()} == counts
    for kind, each in found.items():
        assert len({len(lines) for lines in each}) == 1, (kind, each)
        if kind not in ("texts", "words"):  # which have other samples in a SavedModel
            assert len({lines[0].split()[0] for lines in each}) == 1, (kind, each)


def _uses(study):
    """Yield the snippets of a study's card, whose other parts its records do not have."""
    from search.export.snippets import snippets

    for each in snippets(study.history.exports[-1].formats, study.history.known_study()):
        yield "\n".join(["```python", *each.lines, "```"])
