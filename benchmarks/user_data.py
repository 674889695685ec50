"""Data as they come, searched from the command line, beside scikit-learn on the same folds.

Run: `python benchmarks/user_data.py [--only iris] [--trials 4] [--epochs 40] [--json FILE]`
(`--write docs/results.md` puts the table into that page; rows that the JSON file has are not made
again). It writes every file to a temporary
folder, runs the command that a user would type, once, and scores LogisticRegression and
RandomForestClassifier, with scikit-learn's own preprocessing learned on each training part, on the
folds that the study has recorded. Shown are mean accuracies over the folds: of the best trial, and
of the two. What is expected of made-up data is in the last column.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from page import put
from PIL import Image
from sklearn import datasets
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from search.data import Dataset

GRU = """
import keras


def gru(hp):
    model = keras.Sequential(
        [keras.layers.GRU(hp.Int("units", 8, 32)), keras.layers.Dense(2, "softmax")]
    )
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    return model
"""


@dataclass(frozen=True)
class Case:
    """One dataset and the command that searches it.

    Attributes:
        name: of the row.
        write: writes the data to a folder.
        options: of `run`; DIR stands for the folder.
        expected: what a right score is.
    """

    name: str
    write: Callable[[Path, np.random.Generator], None]
    options: str
    expected: str = ""


def main() -> None:
    """Run every case and print one table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", help="cases whose name contains this")
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--write", type=Path, help="put the table into this page")
    options = parser.parse_args()
    kept = options.json and options.json.is_file()
    rows = {row["name"]: row for row in json.loads(options.json.read_text())} if kept else {}
    for case in CASES:
        if case.name in rows or (options.only and options.only not in case.name):
            continue
        with tempfile.TemporaryDirectory() as folder:
            row = row_of(case, Path(folder), options.trials, options.epochs)
        rows[case.name] = row
        print(json.dumps(row), flush=True)
        if options.json:
            options.json.write_text(json.dumps(list(rows.values()), indent=1) + "\n")
    table = "\n".join(lines_of(rows))
    print(table)
    if options.write:
        put(options.write, "tables", table)


def row_of(case: Case, folder: Path, trials: int, epochs: int) -> dict[str, Any]:
    """Search a case's data, score the others on its folds, and return a row of the table."""
    case.write(folder, np.random.default_rng(0))
    home = folder / "home"
    more = f"--trials {trials} --epochs {epochs} --folds 5 --workers 1 --home {home} --json"
    command = [
        sys.executable,
        "-m",
        "search",
        "run",
        *case.options.replace("DIR", str(folder)).split(),
    ]
    started = time.perf_counter()
    done = subprocess.run([*command, *more.split()], capture_output=True, text=True)
    row = {
        "name": case.name,
        "options": case.options.replace("DIR/", ""),
        "exit": done.returncode,
        "seconds": round(time.perf_counter() - started, 1),
    }
    print(done.stderr, end="", file=sys.stderr)
    if done.returncode:
        return row
    found = json.loads(done.stdout)
    best = next(one for one in found["trials"] if one["trial"] == found["best_trial"])
    (arrays,) = (one for one in (home / "datasets").iterdir() if (one / "meta.json").is_file())
    folds = list(folds_of(home / "studies" / found["study"] / "folds.npz"))
    others = scores(Dataset.open(arrays), folds)
    return {**row, "here": best["scores"]["cv_accuracy"], "folds": len(folds), **others}


def folds_of(path: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the (training, validation) index pairs of a study."""
    with np.load(path) as kept:
        for fold in range(1, sum(name.startswith("train_") for name in kept.files) + 1):
            yield kept[f"train_{fold}"], kept[f"validation_{fold}"]


def scores(dataset: Dataset, folds: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Return scikit-learn's mean accuracies over the folds."""
    samples = np.asarray(dataset.train_samples)
    rows, labels = samples.reshape(len(samples), -1), np.asarray(dataset.train_labels)
    words = [at for at, column in enumerate(dataset.columns) if column.type == "category"]
    others = [at for at in range(rows.shape[1]) if at not in words]
    encoder = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), others),
            ("words", OneHotEncoder(handle_unknown="ignore"), words),
        ]
    )
    models = {
        "logistic": LogisticRegression(max_iter=5000),
        "forest": RandomForestClassifier(random_state=0),
    }
    found = {}
    for name, model in models.items():
        pipeline = make_pipeline(encoder, model)
        right = [pipeline.fit(rows[t], labels[t]).score(rows[v], labels[v]) for t, v in folds]
        found[name] = float(np.mean(right))
    return found


def lines_of(rows: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the table's lines."""
    yield "| data | `run --space` ... | here | logistic regression | random forest | expected |"
    yield "|---|---|---|---|---|---|"
    for case in CASES:
        row = rows.get(case.name)
        if row is None:
            continue
        numbers = [
            f"{row[name]:.3f}" if name in row else "failed"
            for name in ("here", "logistic", "forest")
        ]
        numbers[0] = f"**{numbers[0]}**"
        options = row["options"].removeprefix("--space ")
        yield f"| {row['name']} | `{options}` | {' | '.join(numbers)} | {case.expected} |"


def of_sklearn(name: str, target: str, classes: bool = True) -> Callable[..., None]:
    """Return what writes one of scikit-learn's datasets as a CSV file with its column names."""

    def write(folder: Path, _: np.random.Generator) -> None:
        found = getattr(datasets, f"load_{name}")(as_frame=True)
        named = found.target_names[found.target] if classes else found.target
        found.data.assign(**{target: named}).to_csv(folder / f"{name}.csv", index=False)

    return write


def diabetes(folder: Path, _: np.random.Generator) -> None:
    """Write the features of `diabetes` with a class: progression above its median."""
    found = datasets.load_diabetes(as_frame=True, scaled=False)
    high = np.where(found.target > found.target.median(), "high", "low")
    found.data.assign(progression=high).to_csv(folder / "diabetes.csv", index=False)


def seconds(start: int) -> Callable[..., None]:
    """Return what writes times of which the classes are 40 s apart."""

    def write(folder: Path, _: np.random.Generator) -> None:
        when = [start + 40 * label + number % 20 for number in range(200) for label in (0, 1)]
        pd.DataFrame({"when": when, "label": [0, 1] * 200}).to_csv(folder / "t.csv", index=False)

    return write


def copies(folder: Path, rng: np.random.Generator) -> None:
    """Write 300 rows of noise with random labels, each four times."""
    frame = pd.DataFrame(rng.normal(size=(300, 8)).round(4)).add_prefix("a")
    frame["label"] = rng.integers(2, size=300)
    shuffled = pd.concat([frame] * 4).sample(frac=1, random_state=0)
    shuffled.to_csv(folder / "copies.csv", index=False)


def patients(folder: Path, rng: np.random.Generator) -> None:
    """Write ten rows for each of 30 patients, whose illness is random."""
    who, ill = rng.normal(size=(30, 6)), rng.permutation(np.arange(30) % 2)
    patient = np.repeat(np.arange(30), 10)
    rows = who[patient] + rng.normal(0, 0.05, (300, 6))
    frame = pd.DataFrame(rows.round(4), columns=list("abcdef"))
    frame = frame.assign(patient=patient, label=ill[patient]).sample(frac=1, random_state=0)
    frame.to_csv(folder / "patients.csv", index=False)


def drift(folder: Path, rng: np.random.Generator) -> None:
    """Write days of a sensor that drifts, so that shuffled folds look ahead."""
    days, label = np.arange(600), rng.integers(2, size=600)
    level = np.cumsum(rng.normal(0, 0.4, 600))
    frame = pd.DataFrame(
        {
            "day": pd.Timestamp("2023-01-01") + pd.to_timedelta(days, "D"),
            "level": (level + 0.8 * label + rng.normal(0, 0.3, 600)).round(3),
            "other": (0.7 * label + rng.normal(0, 1, 600)).round(3),
            "state": np.where(label, "fault", "fine"),
        }
    )
    frame.sample(frac=1, random_state=0).to_csv(folder / "sensor.csv", index=False)


def running_id(folder: Path, rng: np.random.Generator) -> None:
    """Write noise sorted by class, with a running number."""
    frame = pd.DataFrame(rng.normal(size=(300, 3)).round(3), columns=["f1", "f2", "f3"])
    frame.insert(0, "Id", np.arange(1, 301))
    frame.assign(label=np.arange(300) // 100).to_csv(folder / "running_id.csv", index=False)


def semicolons(folder: Path, rng: np.random.Generator) -> None:
    """Write a table as spreadsheets do in much of Europe: semicolons, decimal commas."""
    label = np.arange(200) % 2
    frame = pd.DataFrame({"a": (rng.normal(label, 1)).round(3), "b": np.arange(200) % 7})
    frame = frame.assign(label=label)
    frame.to_csv(folder / "semicolons.csv", index=False, sep=";", decimal=",", encoding="utf-8-sig")


def grapes(folder: Path, rng: np.random.Generator) -> None:
    """Write words as labels, a column of words, gaps, and an index without a name."""
    at = np.arange(300)
    frame = pd.DataFrame(
        {
            "acidity": rng.normal(at % 3).round(3),
            "slope": np.where(at % 11 == 0, None, np.where(at % 2, "south", "north")),
            "terrace": np.where(at % 13 == 0, np.nan, at % 5),
            "grape": np.array(["barolo", "grignolino", "barbera"])[at % 3],
        }
    )
    frame.to_csv(folder / "grapes.csv")


def pictures(make: Callable[[int, int, np.random.Generator], np.ndarray]) -> Callable[..., None]:
    """Return what writes two folders of TIFF files."""

    def write(folder: Path, rng: np.random.Generator) -> None:
        for label in (0, 1):
            (folder / "photos" / f"class{label}").mkdir(parents=True)
            for number in range(60):
                picture = Image.fromarray(make(label, number, rng))
                picture.save(folder / "photos" / f"class{label}" / f"{number}.tif")

    return write


def twelve_bit(label: int, _: int, rng: np.random.Generator) -> np.ndarray:
    """Return a picture of 12 bits in a file of 16."""
    return (rng.random((16, 16)) * 400 + 3000 * label / 10).astype("uint16")


def reflectance(label: int, number: int, rng: np.random.Generator) -> np.ndarray:
    """Return a picture of fractions; every second one has a glint above 1."""
    picture = (0.3 + 0.5 * label + 0.05 * rng.normal(size=(16, 16))).astype("float32")
    picture[0, 0] = 1.02 if number % 2 else picture[0, 0]
    return picture


def series(folder: Path, rng: np.random.Generator) -> None:
    """Write series of 50 steps and two channels; the classes differ in frequency."""
    times = np.linspace(0, 2 * np.pi, 50)
    wave = np.sin(times * (1 + np.arange(200)[:, None] % 2 * 2) + rng.random((200, 1)) * 6)
    x = 20 + 0.4 * np.stack([wave, rng.normal(size=wave.shape)], -1)
    np.savez(folder / "series.npz", x=x, y=np.arange(200) % 2)
    (folder / "own.py").write_text(GRU)


def masks(folder: Path, _: np.random.Generator) -> None:
    """Write the handwritten digits as zeros and ones."""
    found = datasets.load_digits()
    np.savez(folder / "masks.npz", x=(found.images > 7).astype("uint8"), y=found.target)


CASES = [
    Case(
        "iris",
        of_sklearn("iris", "species"),
        "--space mlp --dataset csv:DIR/iris.csv --target species",
    ),
    Case(
        "wine",
        of_sklearn("wine", "cultivar"),
        "--space mlp --dataset csv:DIR/wine.csv --target cultivar",
    ),
    Case(
        "breast_cancer",
        of_sklearn("breast_cancer", "diagnosis"),
        "--space mlp --dataset csv:DIR/breast_cancer.csv --target diagnosis",
    ),
    Case(
        "digits as rows",
        of_sklearn("digits", "digit", classes=False),
        "--space mlp --dataset csv:DIR/digits.csv --target digit",
    ),
    Case(
        "diabetes, above the median",
        diabetes,
        "--space mlp --dataset csv:DIR/diabetes.csv --target progression",
    ),
    Case(
        "patients, by group",
        patients,
        "--space mlp --dataset csv:DIR/patients.csv --groups patient",
        "about 0.5: the illness is random",
    ),
    Case(
        "patients, torn apart",
        patients,
        "--space mlp --dataset csv:DIR/patients.csv --ignore patient",
        "too good: rows of a patient on both sides",
    ),
    Case(
        "sensor, by time",
        drift,
        "--space mlp --dataset csv:DIR/sensor.csv --target state --time day",
        "lower than shuffled: the level drifts",
    ),
    Case(
        "sensor, shuffled",
        drift,
        "--space mlp --dataset csv:DIR/sensor.csv --target state",
        "too good: the future is known",
    ),
    Case("seconds since 1970", seconds(1_700_000_000), "--space mlp --dataset csv:DIR/t.csv", "1"),
    Case("seconds from the start", seconds(0), "--space mlp --dataset csv:DIR/t.csv", "1"),
    Case("copies", copies, "--space mlp --dataset csv:DIR/copies.csv", "about 0.5: noise"),
    Case(
        "copies, as any rows",
        copies,
        "--space mlp --dataset csv:DIR/copies.csv --allow-duplicates",
        "too good: equal rows on both sides",
    ),
    Case(
        "running number", running_id, "--space mlp --dataset csv:DIR/running_id.csv", "0.33: noise"
    ),
    Case(
        "semicolons, decimal commas",
        semicolons,
        "--space mlp --dataset csv:DIR/semicolons.csv",
        "0.69 in the long run",
    ),
    Case(
        "words, gaps, an index",
        grapes,
        "--space mlp --dataset csv:DIR/grapes.csv --target grape",
        "0.59 in the long run",
    ),
    Case("12-bit pictures", pictures(twelve_bit), "--space lenet --dataset folder:DIR/photos", "1"),
    Case("reflectances", pictures(reflectance), "--space lenet --dataset folder:DIR/photos", "1"),
    Case("series", series, "--space DIR/own.py:gru --dataset npz:DIR/series.npz", "1"),
    Case("digits as masks", masks, "--space lenet --dataset npz:DIR/masks.npz"),
]


if __name__ == "__main__":
    main()
