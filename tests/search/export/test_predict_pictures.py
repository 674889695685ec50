"""Pictures in folders, and in tables that list or hold them, are predicted as single ones are."""

import csv

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from search.cli.app import app
from search.data.encoders import ImageEncoder
from search.errors import DataError
from search.export.folder import ModelFolder
from search.export.labels import Labels
from search.export.predict import predict_batches, predict_samples
from search.tasks import Classification

pytestmark = pytest.mark.slow

COUNT = 7


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """An exported model, pictures in folders, and tables of them."""
    from keras import Sequential, layers

    from search.export.formats import Samples, chosen_formats
    from search.export.formats.writing import exportable, write_formats

    place = tmp_path_factory.mktemp("pictures")
    encoder = ImageEncoder((6, 6, 1), (8, 8, 1), scaled=True)
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 6, 6, 1)).astype(np.uint8)
    pixels[2] = pixels[2] // 200  # of nothing but 0 and 1
    model = Sequential([layers.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3, "softmax")])
    labels = Labels(Classification(("a", "b", "c")), encoder)
    made = exportable(model, labels, Samples(pixels, encoder.encode(pixels)))
    (place / "model").mkdir()
    write_formats(chosen_formats("keras"), made, place / "model", log=place / "log")
    ModelFolder(place / "model").write_labels(made.labels)
    names = [f"{'b' if n % 2 else 'a'}/{n}.png" for n in range(COUNT)]
    for name, one in zip(names, pixels, strict=True):
        path = place / "all" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(one[..., 0]).save(path)
    (place / "all" / "notes.txt").write_text("no picture")
    (place / "all" / ".hidden.png").write_bytes(b"x")
    frame = pd.DataFrame({"id": range(COUNT), "file": names})
    frame.to_csv(place / "all" / "list.csv", index=False)
    frame.to_parquet(place / "all" / "list.parquet")
    frame.assign(other=frame["file"]).to_csv(place / "all" / "two.csv", index=False)
    flat = pd.DataFrame(pixels.reshape(COUNT, -1), columns=[f"pixel{n}" for n in range(36)])
    flat.assign(label="a").to_csv(place / "pixels.csv", index=False)
    flat.to_parquet(place / "pixels.parquet")
    return place, names, made.expected


def values(found):
    return np.array([[dict(item.values)[name] for name in "abc"] for item in found])


def test_a_folder_gives_its_pictures_in_order(place):
    folder, names, expected = place
    found = predict_samples(folder / "model", [str(folder / "all")], top=3)
    order = sorted(range(COUNT), key=names.__getitem__)
    assert [item.sample for item in found] == [str(folder / "all" / names[n]) for n in order]
    np.testing.assert_allclose(values(found), expected[order], atol=1e-6)
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="must hold pictures"):
        predict_samples(folder / "model", [str(folder / "empty")])


@pytest.mark.parametrize(
    "table", ["all/list.csv", "all/list.parquet", "pixels.csv", "pixels.parquet"]
)
def test_a_table_lists_pictures_or_holds_their_pixels(place, table):
    folder, _, expected = place
    found = predict_samples(folder / "model", [str(folder / table)], top=3)
    np.testing.assert_allclose(values(found), expected, atol=1e-6)


def test_a_table_of_inverted_pixels_is_turned_back(place, tmp_path):
    folder, _, expected = place
    frame = pd.read_csv(folder / "pixels.csv").drop(columns="label")
    (255 - frame).to_csv(tmp_path / "inverted.csv", index=False)
    given = [str(tmp_path / "inverted.csv")]
    found = predict_samples(folder / "model", given, top=3, invert=True)
    np.testing.assert_allclose(values(found), expected, atol=1e-6)


def test_a_column_is_named_where_several_have_pictures(place):
    folder, _, expected = place
    given = [str(folder / "all" / "two.csv")]
    with pytest.raises(DataError, match=r"file, other all have a file .* `--column`"):
        predict_samples(folder / "model", given)
    found = predict_samples(folder / "model", given, top=3, column="other")
    np.testing.assert_allclose(values(found), expected, atol=1e-6)
    with pytest.raises(DataError, match="`--column` must be one of id, file, other; got 'path'"):
        predict_samples(folder / "model", given, column="path")


def test_pixels_of_other_images_are_refused(place, tmp_path):
    folder, _, _ = place
    (tmp_path / "few.csv").write_text("pixel0,pixel1\n1,2\n")
    with pytest.raises(DataError, match="6 x 6 x 1 of 8 bits; it has 2 columns of pixels"):
        predict_samples(folder / "model", [str(tmp_path / "few.csv")])
    head = ",".join(f"pixel{n}" for n in range(36))
    (tmp_path / "far.csv").write_text(f"{head}\n{','.join(['300'] * 36)}\n")
    with pytest.raises(DataError, match=r"`pixel0` must be a whole number 0..255; it is 300"):
        predict_samples(folder / "model", [str(tmp_path / "far.csv")])


def test_a_file_of_csv_is_written_some_samples_at_a_time(place, tmp_path, monkeypatch):
    folder, _, expected = place
    monkeypatch.setattr("search.export.samples.BATCH", 3)
    given = [str(folder / "all" / "list.csv")]
    assert [len(found) for found in predict_batches(folder / "model", given)] == [3, 3, 1]
    out = tmp_path / "out.csv"
    ran = CliRunner().invoke(app, ["predict", str(folder / "model"), *given, "--out", str(out)])
    assert ran.exit_code == 0, ran.output
    assert "7 predictions written to" in ran.output.replace("\n", " ")
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["class"] for row in rows] == ["abc"[n] for n in expected.argmax(axis=1)]
    shown = CliRunner().invoke(app, ["predict", str(folder / "model"), *given, "--csv"])
    assert shown.stdout == out.read_text()
    wrong = ["predict", str(folder / "model"), *given, "--out", str(tmp_path / "no" / "x.csv")]
    assert CliRunner().invoke(app, wrong).exit_code != 0


def test_what_is_read_is_never_written(place, tmp_path):
    folder, _, _ = place
    table = folder / "all" / "list.csv"
    before = table.read_text()
    for out in (table, folder / "all" / ".." / "all" / "list.csv"):
        ran = CliRunner().invoke(
            app, ["predict", str(folder / "model"), str(table), "--out", str(out)]
        )
        assert ran.exit_code != 0
        assert "another file" in str(ran.exception)
        assert table.read_text() == before


def test_a_file_of_csv_has_all_samples_or_stays_what_it_was(place, tmp_path, monkeypatch):
    folder, names, _ = place
    monkeypatch.setattr("search.export.samples.BATCH", 3)
    for name in names[:5]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((folder / "all" / name).read_bytes())
    (tmp_path / "z.png").write_bytes(b"no picture")
    out = tmp_path / "out.csv"
    out.write_text("as it was")
    ran = CliRunner().invoke(
        app, ["predict", str(folder / "model"), str(tmp_path), "--out", str(out)]
    )
    assert "z.png is not a readable picture" in str(ran.exception)
    assert out.read_text() == "as it was"
    assert sorted(path.name for path in tmp_path.glob("*out*")) == ["out.csv"]


def test_what_is_missing_in_a_list_is_named(place, tmp_path):
    folder, names, _ = place
    table = folder / "all" / "gap.csv"
    pd.DataFrame({"file": [names[0], ""]}).to_csv(table, index=False)
    with pytest.raises(DataError, match=r"gap.csv, row 2: `file` must be the path .* it is empty"):
        predict_samples(folder / "model", [str(table)])
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(DataError, match=r"there is no file .*gone.png"):
        predict_samples(folder / "model", [str(tmp_path)])
