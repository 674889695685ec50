"""`tfds:NAME`: what TFDS has prepared, and what it downloads."""

import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from search.data import Dataset, DatasetNotFound, load, locate
from search.data.answers import PlaceError, Surroundings
from search.data.arrays import write_array, write_texts
from search.data.checks import Contents
from search.data.formats.tfds import find
from search.errors import DataError, SettingsError

FOUND = "search.data.formats.tfds.download_by_tfds"


def prepared(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{}")
    return folder


def found(rest: str, tmp_path: Path, data_dir: Path | None = None) -> str:
    return find(rest, Surroundings.here(tmp_path / "home", data_dir)).source


@pytest.mark.parametrize(
    ("rest", "folder"),
    [
        ("beans", "beans/0.1.0"),
        ("beans:0.1.0", "beans/0.1.0"),
        ("beans:0.*.*", "beans/0.1.0"),
        ("glue/sst2", "glue/sst2/2.0.0"),
        ("glue/sst2:2.0.0", "glue/sst2/2.0.0"),
        ("ag/a.b-c", "ag/a.b-c/1.0.0"),
    ],
)
def test_a_prepared_dataset_is_found_by_its_name(tmp_path: Path, rest: str, folder: str) -> None:
    path = prepared(tmp_path / "tfds" / folder)
    assert found(rest, tmp_path) == f"TFDS's {path}"


@pytest.mark.parametrize("rest", ["beans:0.2.0", "bean", "beans/small", "glue"])
def test_another_version_or_configuration_is_not_taken_for_it(tmp_path: Path, rest: str) -> None:
    prepared(tmp_path / "tfds" / "beans/0.1.0")
    prepared(tmp_path / "tfds" / "glue/sst2/2.0.0")
    assert found(rest, tmp_path) == "TFDS's download"


def test_the_highest_version_counts_and_an_unfinished_one_does_not(tmp_path: Path) -> None:
    for version in ("1.9.0", "1.10.0", "incomplete.ABC_2.0.0"):
        prepared(tmp_path / "tfds" / "beans" / version)
    assert found("beans", tmp_path).endswith("/1.10.0")


def test_the_default_configuration_is_the_one_that_tfds_notes(tmp_path: Path) -> None:
    folder = tmp_path / "tfds" / "imdb"
    for config in ("bytes", "plain"):
        prepared(folder / config / "1.0.0")
    (folder / ".config").mkdir()
    (folder / ".config" / "metadata.json").write_text(json.dumps({"default_config_name": "plain"}))
    assert found("imdb", tmp_path) == f"TFDS's {folder / 'plain' / '1.0.0'}"


def test_the_users_folder_goes_before_tfdss_own(tmp_path: Path) -> None:
    prepared(tmp_path / "tfds" / "beans" / "0.2.0")
    path = prepared(tmp_path / "data" / "beans" / "0.1.0")
    assert found("beans", tmp_path, tmp_path / "data") == f"TFDS's {path}"


@pytest.mark.parametrize("rest", ["a b", "../x", "kaggle:x/y", "x:1", "/x", "x/y/z"])
def test_what_is_no_name_of_tfds_is_a_wrong_setting(home: Path, rest: str) -> None:
    with pytest.raises(SettingsError, match="must be followed by NAME"):
        load(f"tfds:{rest}", home=home)


def write_two(_: str, out: Path) -> Contents:
    for split in ("train", "test"):
        write_texts(out, split, ["one", "two"])
        write_array(out / f"{split}_labels.npy", np.dtype("<i8"), (2,), [np.array([0, 1])])
    return Contents("text", ("a", "b"), notices=("Mind the gap.",))


def test_a_download_is_kept_and_not_repeated(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FOUND, write_two)
    told: list[str] = []
    first = load("tfds:mine/small:1.0.0", home=home, notify=told.append)
    assert told == ["Getting tfds:mine/small:1.0.0 (TFDS's download).", "Mind the gap."]
    assert (first.title, first.classes, list(first.train_samples)) == (
        "mine-small",
        ("a", "b"),
        ["one", "two"],
    )
    monkeypatch.delattr(FOUND)
    assert load("tfds:mine/small:1.0.0", home=home, download=False) == first


def test_no_download_is_tried_when_not_allowed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FOUND, write_two)
    with pytest.raises(DataError, match="not on this machine"):
        load("tfds:mine", home=home, download=False)


def test_a_dataset_that_cannot_be_had_names_what_was_tried(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str, out: Path) -> Contents:
        raise PlaceError("no route to host")

    monkeypatch.setattr(FOUND, fail)
    with pytest.raises(DataError) as caught:
        load("tfds:mine", home=home, data_dir=tmp_path)
    message = str(caught.value)
    for part in (
        "tfds:mine is not on this machine",
        f"{tmp_path}: no prepared mine",
        f"{tmp_path / 'tfds'}: no prepared mine",
        "TFDS's download: no route to host",
        "`--data-dir` or TFDS_DATA_DIR",
    ):
        assert part in message


PREPARE = """
import sys
from pathlib import Path
import numpy as np, tensorflow as tf, tensorflow_datasets as tfds

def prepare(folder, features, supervised, **splits):
    folder.mkdir(parents=True)
    features = tfds.features.FeaturesDict(features)
    infos = []
    for split, samples in splits.items():
        template = tfds.core.ShardedFileTemplate(
            data_dir=folder, dataset_name=folder.parts[-2], split=split, filetype_suffix="tfrecord")
        (path,) = template.sharded_filepaths(1)
        with tf.io.TFRecordWriter(str(path)) as writer:
            for sample in samples:
                writer.write(features.serialize_example(features.encode_example(sample)))
        infos.append(tfds.core.SplitInfo(
            name=split, shard_lengths=[len(samples)], num_bytes=0, filename_template=template))
    tfds.folder_dataset.write_metadata(data_dir=str(folder), features=features, split_infos=infos,
        supervised_keys=supervised, check_data=False)

root = Path(sys.argv[1])
label = tfds.features.ClassLabel(names=["round", "square"])
prepare(
    root / "shapes/1.0.0",
    {"image": tfds.features.Image(shape=(None, None, 3)), "image/filename": tfds.features.Text(),
     "label": label, "other": label, "box": tfds.features.BBoxFeature()},
    ("image", "label"),
    train=[{"image": np.full((10 + i % 3, 20 + i % 3, 3), 10 * i, np.uint8), "label": i % 2,
            "other": 0, "image/filename": f"{i}.png", "box": tfds.features.BBox(0.0, 0.0, 1.0, 1.0)}
           for i in range(20)],
)
text = {"sentence": tfds.features.Text(), "idx": np.int32,
        "label": tfds.features.ClassLabel(names=["negative", "positive"])}
rows = [{"sentence": f"phrase é {i}", "label": i % 2, "idx": i} for i in range(12)]
prepare(root / "glue/sst2/2.0.0", text, None, train=rows[:8], validation=rows[8:],
        test=[{**row, "label": -1} for row in rows])
prepare(root / "nothing/1.0.0", text, None, test=rows)
tiles = [{"image": np.full((28, 28, 1), i, np.uint8), "label": i % 10} for i in range(30)]
prepare(
    root / "fashion_mnist/3.0.1",
    {"image": tfds.features.Image(shape=(28, 28, 1)),
     "label": tfds.features.ClassLabel(num_classes=10)},
    None, train=tiles, test=tiles[:10],
)
"""


@pytest.fixture(scope="module")
def prepared_by_tfds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("prepared")
    subprocess.run(
        [sys.executable, "-c", PREPARE, str(root)], check=True, stderr=subprocess.DEVNULL
    )
    return root


@pytest.mark.slow
def test_images_of_different_sizes_without_a_test_split_are_read(
    home: Path, prepared_by_tfds: Path
) -> None:
    told: list[str] = []
    dataset = load("tfds:shapes", home=home, data_dir=prepared_by_tfds, notify=told.append)
    assert (dataset.kind, dataset.classes) == ("image", ("round", "square"))
    assert dataset.train_samples.shape == (16, 11, 21, 3)
    images, labels = dataset.open_test()
    assert np.bincount(labels).tolist() == [2, 2]
    # Every image is of one tone, ten times its number: each is there once, with its own label.
    tones = np.concatenate([dataset.train_samples[:, 5, 5, 0], images[:, 5, 5, 0]])
    assert sorted(tones.tolist()) == list(range(0, 200, 10))
    both = np.concatenate([dataset.train_labels, labels])
    assert (tones // 10 % 2 == both).all()
    assert "resized to 11 x 21 pixels" in told[1]
    assert "4 of 20 samples) is held out" in told[2]
    assert len(list(dataset.folder.iterdir())) == 5


@pytest.mark.slow
def test_texts_whose_test_split_has_no_labels_are_tested_on_the_validation_split(
    home: Path, prepared_by_tfds: Path
) -> None:
    told: list[str] = []
    dataset = load("tfds:glue/sst2", home=home, data_dir=prepared_by_tfds, notify=told.append)
    check_phrases(dataset)
    folder = prepared_by_tfds / "glue/sst2/2.0.0"
    assert told[1:] == [
        f"{folder}: the split `validation` is the test set, as `test` has no labels."
    ]


@pytest.mark.slow
def test_sst2_is_read_as_tfds_has_prepared_it(
    home: Path, prepared_by_tfds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared_by_tfds))
    source = f"TFDS's {prepared_by_tfds / 'glue/sst2/2.0.0'}"
    assert locate("sst2", home=home) == source
    dataset = load("sst2", home=home, download=False)
    assert dataset.source == source
    check_phrases(dataset)


@pytest.mark.slow
def test_a_dataset_of_the_catalog_is_read_as_tfds_has_prepared_it(
    home: Path, tmp_path: Path, prepared_by_tfds: Path
) -> None:
    folder = tmp_path / "tfds" / "fashion_mnist" / "3.0.1"
    shutil.copytree(prepared_by_tfds / "fashion_mnist" / "3.0.1", folder)
    dataset = load("fashion_mnist", home=home, download=False)
    assert dataset.source == f"TFDS's {folder}"
    assert dataset.train_images.shape == (30, 28, 28, 1)
    assert dataset.train_images[:, 0, 0, 0].tolist() == list(range(30))
    assert dataset.train_labels.tolist() == [i % 10 for i in range(30)]
    assert np.array_equal(dataset.open_test()[1], np.arange(10))
    assert len(list(dataset.folder.iterdir())) == 5

    (record,) = folder.glob("*train*")
    record.write_bytes(record.read_bytes()[:-20])
    with pytest.raises(DataError, match=f"{folder} must be a dataset that TFDS can read"):
        load("fashion_mnist", home=tmp_path / "other", download=False)


def check_phrases(dataset: Dataset) -> None:
    samples, labels = dataset.open_test()
    assert dataset.classes == ("negative", "positive")
    assert list(dataset.train_samples) == [f"phrase é {i}" for i in range(8)]
    assert dataset.train_labels.tolist() == [0, 1] * 4
    assert list(samples) == [f"phrase é {i}" for i in range(8, 12)]
    assert labels.tolist() == [0, 1] * 2


@pytest.mark.slow
def test_a_dataset_without_a_training_split_is_refused(home: Path, prepared_by_tfds: Path) -> None:
    with pytest.raises(DataError, match="must have a split `train`; it has test"):
        load("tfds:nothing", home=home, data_dir=prepared_by_tfds)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("fashion_mnits", SettingsError, "no dataset called 'fashion_mnits': did you mean fashion"),
        ("glue/sst", SettingsError, "no configuration called 'sst': did you mean sst2"),
        ("glue/sst2:9.9.9", SettingsError, "cannot be loaded at version 9.9.9, only: 2.0.0"),
        ("glue/mrpc", DataError, "not a pair, among its features; it has 2: sentence1 (text), sen"),
    ],
)
def test_what_tfds_cannot_give_is_refused_before_any_download(
    home: Path, name: str, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind) as caught:
        load(f"tfds:{name}", home=home)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


# Python imports `sitecustomize` first.
NO_NAMES = """
import socket
def none(*a, **k): raise OSError("Name or service not known")
socket.getaddrinfo = none
"""
GLUE_FROM = """
import tensorflow_datasets.text.glue as glue
for config in glue.Glue.BUILDER_CONFIGS:
    config.data_url = {url!r}
"""


@pytest.fixture
def at_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have the child run some code before all else."""

    def put(code: str) -> None:
        folder = tmp_path / "at-start"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(code)
        monkeypatch.syspath_prepend(str(folder))
        paths = [str(folder), os.environ.get("PYTHONPATH", "")]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))

    return put


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tfds:imdb_reviews", "sst2"])
def test_without_a_connection_it_ends_before_tfdss_own_attempts(
    home: Path, name: str, at_start: Callable[[str], None]
) -> None:
    needs_importlib_resources()
    at_start(NO_NAMES)
    with pytest.raises(
        DataError, match=r"TFDS's download: .*: Name or service not known"
    ) as caught:
        load(name, home=home)
    assert isinstance(caught.value, DatasetNotFound) == (name == "sst2")
    assert not list((home / "datasets").iterdir())


@pytest.fixture
def glue_server(tmp_path: Path) -> Iterator[str]:
    """Serve GLUE's archive with a few phrases, as it is packed at its source."""
    folder = tmp_path / "served"
    folder.mkdir()
    rows = [f"phrase é {i}\t{i % 2}\n" for i in range(12)]
    with zipfile.ZipFile(folder / "SST-2.zip", "w") as archive:
        archive.writestr("SST-2/train.tsv", "sentence\tlabel\n" + "".join(rows[:8]))
        archive.writestr("SST-2/dev.tsv", "sentence\tlabel\n" + "".join(rows[8:]))
        archive.writestr("SST-2/test.tsv", "index\tsentence\n0\tunknown\n")
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/SST-2.zip"
        server.shutdown()


@pytest.mark.slow
def test_sst2_is_downloaded_and_prepared_by_tfds(
    home: Path,
    tmp_path: Path,
    glue_server: str,
    at_start: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needs_importlib_resources()
    # The child's look whether there is a connection is skipped where there is a proxy.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    at_start(GLUE_FROM.format(url=glue_server))
    dataset = load("sst2", home=home)
    assert dataset.source == "TFDS's download"
    # TFDS shuffles what it prepares.
    phrases = dict(zip(dataset.train_samples, dataset.train_labels.tolist(), strict=True))
    assert phrases == {f"phrase é {i}": i % 2 for i in range(8)}
    assert sorted(dataset.open_test()[0]) == sorted(f"phrase é {i}" for i in range(8, 12))
    assert list((home / "datasets").iterdir()) == [dataset.folder]
    assert len(list(dataset.folder.iterdir())) == 7
    assert not (tmp_path / "tfds").exists()


def needs_importlib_resources() -> None:
    pytest.importorskip(
        "importlib_resources", reason="TFDS prepares nothing without importlib_resources"
    )
