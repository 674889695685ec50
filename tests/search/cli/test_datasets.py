"""`datasets` lists what there is and describes one; what it shows fits the terminal."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from search.cli import output
from search.cli.app import run
from search.data import Dataset, known
from search.data.formats.memory import Given
from search.data.sources import bring
from tests.search.data.tiny import tiny

Command = Callable[..., tuple[int, str, str]]
UNBROKEN = ("from ", "stored in ", "SHA-256 ", "wrote ")


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.delenv("SEARCH_DATA_DIR", raising=False)

    def command(*arguments: str, columns: int = 80) -> tuple[int, str, str]:
        monkeypatch.setattr(output.console, "width", columns)
        monkeypatch.setattr(sys, "argv", ["search", "datasets", *arguments])
        with pytest.raises(SystemExit) as caught:
            run()
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    return command


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Dataset]:
    """Make `load` answer with a tiny dataset."""

    def given(kind: str, samples: Any, labels: list[int], **other: Any) -> Dataset:
        test = samples[:1], labels[:1]
        made = tiny(tmp_path / "kept", kind, (samples, labels), test, **other)
        monkeypatch.setattr("search.data.load", lambda *_, **__: made)
        return made

    return given


def lines_that_must_fit(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if not line.startswith(UNBROKEN)]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_list_has_every_dataset_with_its_kind_and_the_formats(
    command: Command, columns: int
) -> None:
    code, out, err = command(columns=columns)
    assert (code, err) == (0, "")
    for entry in known():
        row = next(line for line in out.splitlines() if line.startswith(f"{entry.name} "))
        assert row.split()[1] == entry.kind
        assert f"{entry.train:,}" in row
        assert ("x".join(map(str, entry.shape)) in row.split()) == (entry.kind == "image")
    for word in ("csv:", "npz:", "folder:", "tfds:", "scikit-learn", "not on this machine"):
        assert word in out
    table = out.split("\n\n")[0] if columns < 100 else out
    assert max(map(len, table.splitlines())) <= columns


def test_the_list_is_one_json_document(command: Command) -> None:
    code, out, err = command("--json")
    rows = {row["dataset"]: row for row in json.loads(out)}
    assert (code, err) == (0, "")
    assert set(rows) == {entry.name for entry in known()}
    assert rows["digits"]["kind"] == "image"
    assert (rows["digits"]["shape"], rows["digits"]["train"]) == ([8, 8, 1], 1437)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_description_fits_the_terminal(command: Command, columns: int) -> None:
    code, out, _ = command("digits", columns=columns)
    assert code == 0
    assert max(map(len, lines_that_must_fit(out))) <= columns
    words = " ".join(out.split())
    assert "digits: 1,437 training and 360 test images of 8x8x1 pixels, 10 classes" in words
    assert "uint8, 0 to 255, none missing" in words
    assert "nearly balanced: largest to smallest 1.1 : 1" in words
    assert "Test set: counts and duplicates only" in words
    assert "with --drop-duplicates" not in words


def test_a_description_is_one_json_document(command: Command) -> None:
    code, out, err = command("digits", "--json")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert document["notices"] == ["Getting digits (scikit-learn)."]
    assert (document["train"], document["test"], document["kind"]) == (1437, 360, "image")
    assert sum(row["train"] for row in document["classes"]) == 1437
    assert document["statistics"]["constant_pixels"] > 0
    assert "remaining" not in document
    assert "pictures" not in document


@pytest.mark.slow
def test_pictures_are_written_and_named(command: Command) -> None:
    code, out, _ = command("digits", "--out", "deep/out")
    names = ["classes.png", "samples.png", "class_means.png", "correlation.png"]
    assert code == 0
    assert [line for line in out.splitlines() if line.startswith("wrote ")] == [
        f"wrote deep/out/{name}" for name in names
    ]
    assert sorted(path.name for path in Path("deep/out").iterdir()) == sorted(names)
    document = json.loads(command("digits", "--out", "deep/out", "--json")[1])
    assert document["pictures"] == [f"deep/out/{name}" for name in names]


@pytest.mark.slow
def test_of_texts_it_tells_words_and_what_is_not_drawn(
    command: Command, given: Callable[..., Dataset]
) -> None:
    given("text", ["good film", "bad film", "good good fun", ""], [1, 0, 1, 0])
    code, out, _ = command("tiny", "--out", "out")
    words = " ".join(out.split())
    assert code == 0
    assert "4 training and 1 test texts, 2 classes" in words
    assert "words per text 0 to 3, median 2, mean 1.8" in words
    assert "without words 1 text" in words
    assert "most frequent good 3, film 2" in words
    assert "No samples.png" in words
    document = json.loads(command("tiny", "--out", "out", "--json")[1])
    assert document["notes"][0] == "test set: counts and duplicates only"
    assert "No samples.png" in document["notes"][1]
    assert [Path(path).name for path in document["pictures"]] == [
        *("classes.png", "lengths.png", "words.png")
    ]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_of_a_table_it_tells_the_columns(
    command: Command, given: Callable[..., Dataset], columns: int
) -> None:
    rows = np.array([[1, 5, 123456.5], [2, 5, 123457.5]] * 2, np.float32)
    names = ["a", "same", "a name so long that it has to be cut somewhere[/b] or other"]
    given("table", rows, [0, 1, 0, 1], columns=names)
    code, out, _ = command("tiny", columns=columns)
    assert code == 0
    assert "constant columns        1: same" in out
    assert max(map(len, lines_that_must_fit(out))) <= columns
    _, _, rest = out.partition("a name so long that it has to be cut")
    row = next(line for line in rest.splitlines() if "457.5" in line)
    assert row.split()[-4:] == ["123,456.5", "123,457.0", "0.5", "123,457.5"]


def test_of_many_classes_and_columns_only_some_are_shown(
    command: Command, given: Callable[..., Dataset]
) -> None:
    labels = [*range(50), *[7] * 30, *range(49)]
    rows = np.arange(len(labels) * 70, dtype=np.float32).reshape(-1, 70)
    given("table", rows, labels, classes=[f"name {number}" for number in range(50)])
    out = command("tiny")[1]
    assert "33 classes between these" in out
    assert "50 more columns" in out
    assert out.index("name 7 ") < out.index("name 0 ") < out.index("name 49 ")
    document = json.loads(command("tiny", "--json")[1])
    assert len(document["classes"]) == 50
    assert len(document["statistics"]["columns"]) == 70


def test_duplicates_are_counted_and_what_would_remain(
    command: Command, given: Callable[..., Dataset]
) -> None:
    rows = np.array([[9], [1], [1], [2], [2], [3], [3], [3]], np.float32)
    given("table", rows, [0, 1, 1, 0, 1, 0, 0, 0])
    words = " ".join(command("tiny", "--drop-duplicates", columns=200)[1].split())
    assert "4 samples beyond the first of 3 groups" in words
    assert "conflicting labels in 1 group of 2 samples" in words
    assert "1 training sample also in the test set" in words
    assert "2 of 8 training samples remain, 6 are left out" in words
    document = json.loads(command("tiny", "--drop-duplicates", "--json")[1])
    assert (document["remaining"], document["duplicates"]["droppable"]) == (2, 6)


def test_without_duplicates_all_samples_remain(command: Command) -> None:
    out = command("digits", "--drop-duplicates")[1]
    assert "all 1,437 training samples remain" in " ".join(out.split())


@pytest.mark.parametrize("option", [("--out", "x"), ("--drop-duplicates",)])
def test_options_for_one_dataset_are_refused_without_one(
    command: Command, tmp_path: Path, option: tuple[str, ...]
) -> None:
    code, out, err = command(*option)
    assert (code, out) == (2, "")
    assert f"`{option[0]}` is for one dataset; got none" in err
    assert not (tmp_path / "x").exists()


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr("search.data.description.describe", None)
    code, out, err = command("digits", "--out", "file/out")
    assert (code, out) == (2, "")
    assert "`--out` must be a folder that can be written" in " ".join(err.split())


@pytest.mark.slow
def test_no_framework_is_waited_for(tmp_path: Path) -> None:
    code = """
import sys
from search.cli.app import run

sys.argv = ["search", "datasets", "digits", "--out", "out"]
try:
    run()
except SystemExit as ended:
    assert not ended.code, ended.code
heavy = {"tensorflow", "keras", "mlflow", "optuna", "matplotlib.pyplot"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_options_for_reading_are_those_of_a_study(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "wine.csv"
    rows = [
        f"{i * i},{('north', 'south')[i % 2]},{('red', 'white')[i // 2 % 2]}" for i in range(40)
    ]
    path.write_text("\n".join(["acidity,slope,grape", *rows]))
    code, out, err = command(f"csv:{path}")
    assert (code, out) == (3, "")
    assert "there are 3 columns: acidity, slope, grape" in err
    code, out, _ = command(f"csv:{path}", "--target", "grape", "--ignore", "slope", "--json")
    assert code == 0
    document = json.loads(out)
    assert [entry["name"] for entry in document["classes"]] == ["red", "white"]
    assert [column["name"] for column in document["statistics"]["columns"]] == ["acidity"]


@pytest.mark.parametrize("option", [("--types", "slope"), ("--decimal", ";"), ("--header", "2")])
def test_a_wrong_option_for_reading_is_named(command: Command, option: tuple[str, str]) -> None:
    code, _, err = command("csv:any.csv", *option)
    assert code == 2
    assert f"`{option[0]}`" in err


def test_options_for_reading_need_a_dataset(command: Command) -> None:
    code, _, err = command("--target", "grape")
    assert code == 2
    assert "`--target` is for one dataset; got none" in err


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_of_numbers_it_tells_quantiles_and_draws_a_line(
    command: Command, tmp_path: Path, columns: int
) -> None:
    chance = np.random.default_rng(0)
    rows = chance.normal(size=(60, 2))
    prices = (150_000 + 20_000 * chance.normal(size=(60, 2))).round(2)
    table = pd.DataFrame(np.hstack([rows, prices]), columns=["a", "b", "price", "rent"])
    table.to_csv(tmp_path / "homes.csv", index=False)
    source = f"csv:{tmp_path / 'homes.csv'}"
    code, out, told = command(source, "--target", "price,rent", columns=columns)
    assert code == 0
    assert "price, rent to predict" in " ".join(out.split())
    assert ("95 %" in out) == (columns == 120)
    assert "median" in out
    bars = [
        line for line in out.splitlines() if line.startswith(("price: ", "rent: ")) and "█" in line
    ]
    assert len(bars) == 2
    assert all(len(line) <= columns for line in lines_that_must_fit(out))
    assert "`--task classification`" not in told
    code, out, _ = command(source, "--target", "price", "--task", "regression", "--json")
    assert json.loads(out)["numbers"][0]["name"] == "price"


def test_of_labels_it_tells_how_often_each_comes(command: Command, tmp_path: Path) -> None:
    rows = ["a,topics"] + [f"{n * n},{('red|big', 'red', '|')[n % 3]}" for n in range(60)]
    (tmp_path / "own.csv").write_text("\n".join(rows))
    code, out, _ = command(
        f"csv:{tmp_path / 'own.csv'}", "--target", "topics", "--task", "multi-label"
    )
    assert code == 0
    assert "2 labels (multi-label)" in " ".join(out.split())
    assert "mean 1.00, at most 2; 33.3 % have none" in " ".join(out.split())
    assert [line.split()[:2] for line in out.splitlines() if " red " in line] == [["1", "red"]]


def test_the_list_tells_what_data_from_python_predict(command: Command, tmp_path: Path) -> None:
    rows, numbers = np.arange(60.0).reshape(20, 3), np.arange(20) / 3
    bring(Given.of((rows, numbers)), home=tmp_path / "mlruns")
    code, out, _ = command("--home", str(tmp_path / "mlruns"), columns=120)
    assert code == 0
    assert "1 number" in out


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_columns_of_a_table_keep_their_names_whole_and_fit(
    command: Command, tmp_path: Path, columns: int
) -> None:
    table = pd.DataFrame(
        {
            "Clutch Completion (observed)": np.tile(["yes", "no"], 20),
            "Culmen Length (mm)": np.linspace(33.1, 59.6, 40),
            "Date Egg": pd.date_range("2007-11-09", periods=40, freq="31h").astype(str),
            "Comments": np.tile(["Nest never observed with full clutch.", "None so far."], 20),
            "species": np.tile(["Adelie", "Gentoo"], 20),
        }
    )
    table.to_csv(tmp_path / "raw.csv", index=False)
    code, out, _ = command(f"csv:{tmp_path / 'raw.csv'}", "--target", "species", columns=columns)
    shown = out[out.index("\ncolumn") : out.index("\n\nTest set")]
    assert code == 0
    for name in table.columns[:-1]:
        assert f"\n{name} " in shown
    assert "highest" in shown
    assert "most frequent" in shown
    assert "Nest never observed with full clutch. 16" in " ".join(shown.split())
    assert all(line.strip() and len(line) <= columns for line in shown.strip().splitlines())


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_no_number_of_a_table_with_dates_and_words_is_cut_in_two(
    tmp_path: Path, command: Command, columns: int
) -> None:
    frame = pd.DataFrame(
        {
            "when": pd.date_range("2024-01-01 12:34:56", periods=40, freq="37h"),
            "town": ["Paris, France", "Oslo", "São Paulo", "Reykjavik"] * 10,
            "spent": [1234567.25 * (i % 7) for i in range(40)],
            "price": [999.5 + i * 3.25 for i in range(40)],
        }
    )
    frame.to_csv(tmp_path / "own.csv", index=False)
    out = command("csv:own.csv", "--target", "price", "--home", "home", columns=columns)[1]
    lines = lines_that_must_fit(out)
    assert max(map(len, lines)) <= columns
    [town] = [place for place, line in enumerate(lines) if line.startswith("town")]
    [when] = [line.split() for line in lines if line.startswith("when")]
    assert next(word for word in when if word.startswith("2024-")) == "2024-01-01"
    assert ("days" in when) == (columns == 140)
    words = " ".join(" ".join(lines[town : town + 3]).split())
    assert "Oslo 9" in words
    assert "São Paulo 8" in words
    [spent] = [line for line in lines if line.startswith("spent")]
    assert spent.split()[-1] == "7,407,403.5"
