"""A mistake gets one clear message and the documented exit code, and changes nothing."""

import gzip
import struct
import sys
from pathlib import Path

import pytest

from search.cli.app import run
from tests.fakes import ended, fold_ended
from tracking.home import Home
from tracking.journal import Journal
from tracking.records import FoldStarted, SessionStarted, StudyStarted, TrialStarted

USAGE, DATA, NO_SUCCESS = 2, 3, 1


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    for name in ("SEARCH_DATA_DIR", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)

    def command(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["search", *arguments])
        with pytest.raises(SystemExit) as caught:
            run()
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "Traceback" not in captured.err
        return int(caught.value.code or 0), " ".join(captured.err.split())

    return command


@pytest.fixture
def study(tmp_path) -> Path:
    """A study of one complete trial, as a journal; the folder of all its files."""
    folder = Home(tmp_path / "mlruns").study("toy")
    folder.root.mkdir(parents=True)
    settings = {
        "space": "lenet",
        "dataset": "digits",
        "driver": "optuna",
        "sampler": "tpe",
        "pruner": "median",
        "folds": 3,
        "epochs": 2,
        "seed": 0,
        "set": {},
        "baselines": True,
        "limit_samples": None,
        "precision": "float32",
    }
    with Journal(folder.journal) as journal:
        journal.append(
            StudyStarted(
                at=1.0,
                id="0" * 32,
                study="toy",
                space="lenet",
                driver="optuna",
                settings=settings,
                parameters=[],
                dataset={"name": "digits", "digest": "0" * 64, "classes": [], "samples": 9},
                folds=3,
                folds_digest="",
            )
        )
        journal.append(SessionStarted(at=2.0, trials=1, environment={}))
        journal.append(TrialStarted(at=3.0, trial=0, parameters={}, origin="sampled"))
        journal.append(FoldStarted(at=4.0, trial=0, fold=1))
        journal.append(fold_ended(0, 1, 0.5))
        journal.append(ended(0, "failed", None))
    return folder.root


RUN = ("run", "--space", "lenet", "--dataset", "digits")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run",), "`--space` is needed"),
        (("run", "--space", "lenett"), "did you mean lenet?"),
        (("run", "--space", "no.such:SPACE"), "no.such cannot be imported"),
        (("run", "--space", "absent.py:SPACE"), "there is no file"),
        (("run", "--space", "lenet", "--dataset", "digit"), "did you mean digits"),
        ((*RUN, "--driver", "optun"), "did you mean optuna?"),
        ((*RUN, "--sampler", "tpee"), "did you mean tpe?"),
        ((*RUN, "--objective", "cv_max_error"), "there are, among others, neg_max_error, "),
        ((*RUN, "--objective", "acuracy"), "`--objective`: no metric is called 'acuracy'"),
        ((*RUN, "--objective", "cv_loss,cv_loss"), "two different ones separated by a comma"),
        ((*RUN, "--objective", "latency_ms"), "must begin with a score, such as cv_accuracy,"),
        (
            (*RUN, "--objective", "cv_loss,latency_ms", "--pruner", "median"),
            "`--pruner`: must be none, or left out, with two objectives",
        ),
        (
            (*RUN, "--objective", "cv_loss,latency_ms", "--driver", "keras-tuner"),
            "objective",
        ),
        ((*RUN, "--confirm", "-1"), "`--confirm`"),
        (
            (*RUN, "--folds", "1000"),
            "`--folds`: must be at most 20; got 1000",
        ),
        ((*RUN, "--epochs", "0"), "`--epochs`"),
        ((*RUN, "--trials", "0"), "`--trials`"),
        ((*RUN, "--trials", "three"), "`--trials`: must be a whole number; got 'three'"),
        ((*RUN, "--limit-samples", "99999"), "got 99,999"),
        ((*RUN, "--set", "filters=3"), "lenet has no such parameter"),
        ((*RUN, "--set", "dropuot=0.1"), "no such parameter; did you mean dropout?"),
        ((*RUN, "--set", "conv_1_filters=16"), "must be within 32..64; got 16"),
        ((*RUN, "--set", "conv_1_filters=60:40"), "low must not be above high"),
        ((*RUN, "--set", "dropout"), "takes NAME=VALUE"),
        ((*RUN, "--timeout", "soon"), "must be a duration"),
        ((*RUN, "--precision", "int8"), "`--precision`"),
        ((*RUN, "--config", "absent.yaml"), "cannot be read"),
        ((*RUN, "--study", "x" * 300), "must fit in 120 bytes"),
        ((*RUN, "--study", " "), "must not be empty"),
        ((*RUN, "--epochs", "3", "--set", "epochs=2:5"), "give the epochs once"),
        ((*RUN, "--tracking-uri", "nonsense://x"), "`--tracking-uri` must begin with one of"),
        ((*RUN, "--set", "shift=0.1"), "active only with `--set augmentation=on`: add that"),
        ((*RUN, "--set", "momentum=0.5"), "active only with `--set optimizer=sgd`: add that"),
        ((*RUN, "--set", "patience=2"), "active only with `--set early_stopping=on`: add that"),
        (
            (*RUN, "--set", "augmentation=on", "--set", "flip=on"),
            "images of digits change their meaning when mirrored",
        ),
        (("run", "--space", "bilstm", "--dataset", "digits"), "takes text data; dataset digits"),
        (("run", "--space", "bilstm", "--dataset", "digits"), "Spaces for it: cnn, convnet,"),
        (("run", "--space", "bilstm", "--dataset", "digits"), "datasets for bilstm: sst2"),
        (("run", "--space", "lenet", "--dataset", "cvs:a.csv"), "did you mean csv?"),
        (("run", "--space", "lenet", "--dataset", "csv:"), "must say what to read after csv:"),
        (("rnu",), "No such command 'rnu'"),
        (("run", "--spaec", "lenet"), "No such option"),
        (("show", "nothing"), "no study is called 'nothing'"),
        (("export", "nothing"), "no study is called 'nothing'"),
        (("evaluate", "nothing"), "no study is called 'nothing'"),
        (("spaces", "lenett"), "did you mean lenet?"),
        (("datasets", "mnits"), "did you mean mnist"),
        (("ui",), "has no MLflow database yet"),
        (("predict", "model"), "Missing argument"),
    ],
)
def test_wrong_usage_ends_with_two_and_the_remedy(command, tmp_path, arguments, words):
    code, message = command(*arguments)
    assert words in message
    assert code == USAGE
    assert not list(tmp_path.glob("mlruns/studies/*"))


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("csv:absent.csv", "absent.csv"),
        ("npz:absent.npz", "absent.npz"),
        ("folder:absent", "absent"),
    ],
)
def test_data_that_are_not_there_end_with_three_and_their_name(command, tmp_path, reference, words):
    code, message = command("run", "--space", "mlp", "--dataset", reference)
    assert code == DATA
    assert str(tmp_path / words) in message
    assert not list(tmp_path.glob("mlruns/studies/*"))


@pytest.mark.slow
def test_a_table_is_refused_by_a_space_of_images_before_any_training(command, tmp_path):
    lines = [f"{number},{number % 2}" for number in range(40)]
    (tmp_path / "table.csv").write_text("\n".join(["width,label", *lines]))
    code, message = command("run", "--space", "lenet", "--dataset", "csv:table.csv")
    assert code == USAGE
    assert "space lenet takes image data; dataset table holds table data" in message
    assert "Spaces for it: mlp" in message
    assert not list(tmp_path.glob("mlruns/studies/*"))


@pytest.mark.slow
def test_augmentation_of_a_table_is_refused_before_any_training(command, tmp_path):
    lines = [f"{number},{number % 2}" for number in range(40)]
    (tmp_path / "table.csv").write_text("\n".join(["width,label", *lines]))
    code, message = command(
        *("run", "--space", "mlp", "--dataset", "csv:table.csv", "--set", "augmentation=on")
    )
    assert code == USAGE
    assert "`--set augmentation`: mlp has no such parameter" in message
    assert not list(tmp_path.glob("mlruns/studies/*"))


@pytest.mark.slow
def test_weights_that_cannot_be_had_are_told_before_any_training(command, tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("socket.create_connection", refuse)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    code, message = command("run", "--space", "vgg16", "--dataset", "digits")
    assert code == USAGE
    assert "--set weights=none" in message
    assert not list(tmp_path.glob("mlruns/studies/*"))


def test_several_faults_come_in_one_message(command):
    code, message = command("run", "--space", "lenett", "--folds", "0", "--driver", "x")
    assert code == USAGE
    assert all(word in message for word in ("`--space`", "`--folds`", "`--driver`"))


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--folds", "4", "`--folds`: study 'toy' began with 3; got 4"),
        ("--seed", "1", "`--seed`: study 'toy' began with 0; got 1"),
        ("--dataset", "mnist", "`--dataset`: study 'toy' began with digits; got mnist"),
        ("--space", "spaces.lenet:SPACE", "`--space`: study 'toy' began with lenet"),
        ("--epochs", "9", "`--epochs`: study 'toy' began with 2; got 9"),
        ("--sampler", "random", "`--sampler`: study 'toy' began with tpe; got random"),
        ("--set", "dropout=0.1", "`--set`: study 'toy' began with nothing; got dropout=0.1"),
        ("--trials", "5", "the content of dataset digits has changed since"),
    ],
)
def test_another_study_under_the_same_name_is_refused_and_the_study_untouched(
    command, study, option, value, words
):
    before = {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}
    code, message = command("run", "--study", "toy", option, value)
    assert words in message
    assert code == USAGE
    assert {path: path.read_bytes() for path in study.rglob("*") if path.is_file()} == before


def test_a_study_without_a_complete_trial_cannot_be_exported(command, study):
    code, message = command("export", "toy")
    assert "no complete trial to export" in message
    assert code == NO_SUCCESS


def test_a_study_without_an_export_cannot_be_evaluated(command, study):
    code, message = command("evaluate", "toy")
    assert "no exported model; write one with `foldwise export toy`" in message
    assert code == USAGE


def test_near_names_of_studies_are_offered(command, study):
    assert "did you mean toy?" in command("show", "tooy")[1]


def test_a_trial_that_does_not_exist_is_refused(command, study):
    code, message = command("show", "toy", "--trial", "7")
    assert "`--trial` must be within 0..0; got 7" in message
    assert code == USAGE


def test_a_damaged_journal_is_refused_with_its_line(command, study):
    journal = study / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(lines[0] + lines[1].replace(b"trials", b"trails") + b"".join(lines[2:]))
    code, message = command("show", "toy")
    assert "line 2: its checksum does not match" in message
    assert code == 1


def test_a_home_that_cannot_be_written_is_refused(command, tmp_path):
    (tmp_path / "file").write_text("in the way")
    code, message = command(*RUN, "--home", "file/home")
    assert code == USAGE
    assert "Choose another with `--home`" in message


@pytest.mark.slow
def test_an_explicit_dataset_that_is_not_here_never_falls_back(command, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    if Path("/usr/share/datasets/fashion-mnist").exists():
        pytest.skip("Debian's dataset package is installed")
    code, message = command("run", "--space", "lenet", "--dataset", "fashion_mnist")
    assert code == DATA
    assert "Tried:" in message
    assert "--data-dir" in message


def test_a_damaged_dataset_is_refused_also_where_a_fallback_exists(command, tmp_path):
    folder = tmp_path / "data" / "fashion_mnist"
    folder.mkdir(parents=True)
    for part, count in (("train", 20), ("t10k", 10)):
        images = struct.pack(">IIII", 0x803, count, 28, 28) + bytes(count * 784 - 5)
        labels = struct.pack(">II", 0x801, count) + bytes(count)
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    code, message = command("run", "--space", "lenet", "--data-dir", str(tmp_path / "data"))
    assert code == DATA
    assert "images-idx3-ubyte" in message


def test_an_empty_or_damaged_study_does_not_hide_the_others(command, study, monkeypatch, capsys):
    for name, content in (("empty", b""), ("damaged", b"no record\n")):
        (study.parent / name).mkdir()
        (study.parent / name / "journal.jsonl").write_bytes(content)
    monkeypatch.setattr(sys, "argv", ["search", "studies"])
    with pytest.raises(SystemExit):
        run()
    captured = capsys.readouterr()
    assert "toy" in captured.out
    assert "study damaged is left out" in captured.err
    assert "no study is called 'empty'" in command("show", "empty")[1]


@pytest.mark.slow
def test_fewer_samples_of_a_class_than_folds_is_refused(command):
    code, message = command(*RUN, "--folds", "20", "--limit-samples", "100")
    assert code == USAGE
    assert "`--limit-samples` must be" in message
    assert "got 100" in message


def test_a_file_that_is_no_picture_is_refused_before_anything_is_loaded(command, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "labels.json").write_text(
        '{"classes": ["a", "b"], "background": 0.0, "columns": [], "outputs": "probabilities",'
        ' "input": {"kind": "image",'
        ' "input_shape": [8, 8, 1], "native_shape": [8, 8, 1], "scaled": false}}'
    )
    (tmp_path / "notes.txt").write_text("no picture")
    code, message = command("predict", "model", "notes.txt")
    assert code == DATA
    assert "notes.txt is not a readable picture" in message
    code, message = command("predict", "elsewhere", "notes.txt")
    assert code == DATA
    assert "is not an exported model" in message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--driver", "keras-tuner", "`--driver`: study 'toy' began with optuna; got keras"),
        ("--objective", "cv_loss,latency_ms", "began with cv_accuracy; got cv_loss,latency_ms"),
        ("--pruner", "none", "`--pruner`: study 'toy' began with median; got none"),
    ],
)
def test_what_a_study_began_with_is_the_one_fault_told(command, study, option, value, words):
    code, message = command("run", "--study", "toy", option, value)
    assert code == USAGE
    assert words in message
    assert message.count("; got") == 1
