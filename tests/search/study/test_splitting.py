from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import GroupKFold, KFold

from search.data import duplicates
from search.data.folds import Folds
from search.data.splits import Split, make_folds
from search.errors import DataError, SettingsError
from search.study.opening import OpenStudy, open_study
from tracking.home import Home
from tracking.journal import Journal
from tracking.records import Record

ROWS = 60


def table(folder: Path, **columns: Iterable[Any]) -> str:
    """Write a table of two features, labels that alternate and other columns; return its name."""
    chance = np.random.RandomState(0)
    made: dict[str, Any] = {
        "a": chance.normal(size=ROWS).round(4),
        "b": chance.normal(size=ROWS).round(4),
        "label": np.arange(ROWS) % 2,
        **columns,
    }
    lines = [",".join(made), *(",".join(map(str, row)) for row in zip(*made.values(), strict=True))]
    for part in ("train", "test"):
        (folder / f"{part}.csv").write_text("\n".join(lines if part == "train" else lines[:5]))
    return f"csv:{folder / 'train.csv'},{folder / 'test.csv'}"


def opened(
    folder: Path, dataset: str, *, splitter: Any = None, **asked: Any
) -> tuple[OpenStudy, list[str]]:
    """Open a study of two folds; return it and what the user is told."""
    told: list[str] = []
    asked = {"space": "mlp", "dataset": dataset, "folds": 2, **asked}
    asked = {name: value for name, value in asked.items() if value is not None}
    study = open_study(
        asked,
        home=Home(folder / "home"),
        data_dir=None,
        notify=told.append,
        splitter=splitter,
    )
    return study, told


def begin(study: OpenStudy, **fields: Any) -> None:
    """Write the first record of a study, with some fields otherwise."""
    record: Record = replace(study.start, **fields)
    study.folder.root.mkdir(parents=True, exist_ok=True)
    with Journal(study.folder.journal) as journal:
        journal.append(record)
    study.folds.save(study.folder.folds)


def torn(folds: Folds, groups: np.ndarray) -> int:
    """Return how many groups are on both sides of a fold."""
    return sum(
        len(np.intersect1d(groups[train], groups[validation]))
        for train, validation in zip(folds.train, folds.validation, strict=True)
    )


@pytest.mark.slow
def test_groups_make_folds_of_whole_groups(tmp_path: Path) -> None:
    patients = np.arange(ROWS) // 5
    dataset = table(tmp_path, patient=[f"p{number}" for number in patients])
    study, _ = opened(tmp_path, dataset, groups="patient", limit_samples=40)
    assert study.settings.split == study.start.settings["split"] == "stratified-group"
    assert study.dataset.column_names == ("a", "b")
    assert torn(study.folds, patients) == torn(study.confirmation_folds(), patients) == 0
    assert study.folds.groups is not None
    expected = make_folds(np.arange(ROWS) % 2, folds=2, seed=0, groups=patients, limit_samples=40)
    assert study.folds.digest == expected.digest


@pytest.mark.slow
def test_a_time_makes_folds_of_a_growing_past(tmp_path: Path) -> None:
    days = np.random.RandomState(1).permutation(ROWS)
    study, _ = opened(tmp_path, table(tmp_path, day=days), time="day", folds=3, gap=4)
    assert study.start.settings["split"] == "time"
    for train, validation in zip(study.folds.train, study.folds.validation, strict=True):
        assert days[train].max() + 4 < days[validation].min()
    assert study.start.dataset["samples"] == ROWS
    assert study.start.split == {
        "share": 45 / (11 + 26 + 41),
        "validated": 45,
        "repeats": 1.0,
    }


@pytest.mark.slow
def test_given_folds_decide_their_number(tmp_path: Path) -> None:
    dataset = table(tmp_path, part=np.arange(ROWS) // 2 % 3 + 1)
    study, _ = opened(tmp_path, dataset, fold_column="part", folds=None)
    assert (study.settings.split, study.settings.folds, study.start.folds) == ("given", 3, 3)
    assert study.folds.validation[1].tolist() == [n for n in range(ROWS) if n // 2 % 3 == 1]
    begin(study)
    again, _ = opened(tmp_path, dataset, fold_column="part", folds=None, study=study.start.study)
    assert not again.is_new


@pytest.mark.slow
def test_repeated_folds_count_each_repetition(tmp_path: Path) -> None:
    study, _ = opened(tmp_path, table(tmp_path), split="repeated:3", folds=4)
    assert (study.settings.folds, study.start.folds, len(study.folds)) == (4, 12, 12)
    assert study.start.split == {"share": 1 / 3, "validated": ROWS, "repeats": 3.0}
    assert len(study.confirmation_folds()) == 24
    begin(study)
    again, _ = opened(tmp_path, table(tmp_path), split="repeated:3", folds=4)
    assert not again.is_new


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"split": "group"}, "`--split group` needs groups; dataset train has none.*`--groups`"),
        ({"split": "stratified-group"}, "needs groups"),
        ({"split": "time"}, "`--split time` needs times.*`--time`"),
        ({"split": "given"}, "needs the fold of each sample.*`--fold-column`"),
        ({"gap": 3}, "`--gap` is for `--split time`; got 3 with stratified"),
        ({"split": "tme"}, "`--split`: no split is called 'tme'; did you mean time"),
        ({"split": "repeated"}, "must be repeated:R with R from 2 to 20; got 'repeated'"),
        ({"split": "repeated:20", "folds": 10}, "must be at most 100; got 20 x 10"),
        ({"split": "splitter"}, r"is for splitters from Python: run_study\(cv=...\)"),
        ({"time": "day", "groups": "who"}, "with both groups and a time, say how"),
        ({"time": "day", "confirm": 1}, "`--confirm` needs folds that did not choose"),
        ({"fold_column": "who", "folds": 5}, r"number of folds that are given, 4 \(0, 1, 2, 3\)"),
    ],
)
def test_what_contradicts_itself_is_refused(
    tmp_path: Path, asked: dict[str, Any], message: str
) -> None:
    dataset = table(tmp_path, who=np.arange(ROWS) // 2 % 4, day=np.arange(ROWS))
    with pytest.raises(SettingsError, match=message):
        opened(tmp_path, dataset, **asked)
    assert not list((tmp_path / "home").glob("studies/*"))


def copies(count: int = ROWS) -> np.ndarray:
    """Return rows of which every second one, and every missing value, is that of the one before."""
    rows = np.repeat(np.random.RandomState(3).normal(size=(count // 2, 3)), 2, axis=0)
    rows[:, 2] = np.where(np.arange(count) // 2 % 2, np.nan, rows[:, 2])
    return rows


@pytest.mark.slow
def test_copies_stay_together_in_folds_parts_and_the_test_part(tmp_path: Path) -> None:
    rows = copies()
    dataset = table(tmp_path, a=rows[:, 0], b=[str(v).replace("nan", "") for v in rows[:, 2]])
    dataset = dataset.split(",")[0]  # without a test part
    study, told = opened(tmp_path, dataset, limit_samples=30)
    samples = np.asarray(study.dataset.train_samples)[:, 0]
    assert not set(samples) & set(np.asarray(study.dataset.open_test()[0])[:, 0])
    numbers = np.unique(samples, return_inverse=True)[1]
    assert len(samples) == 48
    assert torn(study.folds, numbers) == torn(study.confirmation_folds(), numbers) == 0
    assert study.folds.samples == 30
    assert study.folds.groups is not None
    assert (np.bincount(study.folds.groups) == 2).all()
    assert [text for text in told if "are copies of" in text] == [
        "24 of 48 training samples are copies of others; each stays on one side of every split with"
        " them (`--allow-duplicates` lets go of them)"
    ]


@pytest.mark.slow
def test_copies_may_be_parted_by_those_who_ask_for_it(tmp_path: Path) -> None:
    rows = copies()
    dataset = table(tmp_path, a=rows[:, 0], b=rows[:, 1])
    study, told = opened(tmp_path, dataset, allow_duplicates=True)
    assert study.folds.digest == make_folds(np.arange(ROWS) % 2, folds=2, seed=0).digest
    assert study.folds.groups is None
    assert not [text for text in told if "are copies of" in text]


@pytest.mark.slow
def test_samples_that_are_in_the_test_set_are_told_from_one_in_a_hundred_on(
    tmp_path: Path,
) -> None:
    _, told = opened(tmp_path, table(tmp_path))  # its test part is copied from the training part
    assert [text for text in told if "test set" in text] == [
        "4 of 60 training samples are in the test set, too, so that its scores are too good;"
        " `--drop-duplicates` leaves them out"
    ]


@pytest.mark.slow
def test_copies_are_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = copies()
    dataset = table(tmp_path, a=rows[:, 0], b=rows[:, 1])
    first, told = opened(tmp_path, dataset)
    monkeypatch.setattr(duplicates, "numbered", None)
    again, told_again = opened(tmp_path, dataset)
    assert again.folds.digest == first.folds.digest
    assert (
        [t for t in told_again if "are copies of" in t]
        == [t for t in told if "are copies of" in t]
        != []
    )
    monkeypatch.undo()
    path = first.dataset.folder / "train_copies.npy"
    for damage in (b"", path.read_bytes()[:200], b"\x93NUMPY"):
        path.write_bytes(damage)
        assert opened(tmp_path, dataset)[0].folds.digest == first.folds.digest


def earlier(study: OpenStudy) -> dict[str, Any]:
    """Return the settings of a study as they were before splits could be chosen."""
    new = {"split", "gap", "allow_duplicates", "groups", "time", "fold_column"}
    return {k: v for k, v in study.start.settings.items() if k not in new}


@pytest.mark.slow
def test_a_study_from_before_copies_were_seen_continues_with_its_folds_and_test_part(
    tmp_path: Path,
) -> None:
    path = tmp_path / "copies.npz"
    np.savez(path, X=copies()[:, :2], y=np.arange(ROWS) % 2)
    old, _ = opened(tmp_path, f"npz:{path}", allow_duplicates=True, study="old", limit_samples=20)
    expected = make_folds(np.asarray(old.dataset.train_labels), folds=2, seed=0, limit_samples=20)
    assert old.folds.digest == expected.digest
    begin(old, settings=earlier(old), split={})
    new, _ = opened(tmp_path, f"npz:{path}", study="new", limit_samples=20)
    assert new.dataset.digest != old.dataset.digest
    again, told = opened(tmp_path, f"npz:{path}", study="old", limit_samples=20)
    assert (again.is_new, again.folds.digest) == (False, old.folds.digest)
    assert again.dataset.digest == old.dataset.digest
    assert again.folds.groups is None
    assert again.confirmation_folds().groups is None
    assert not [text for text in told if "are copies of" in text]
    with pytest.raises(
        SettingsError, match="`--split`: study 'old' began with stratified; got kfold"
    ):
        opened(tmp_path, f"npz:{path}", study="old", limit_samples=20, split="kfold")


@pytest.mark.slow
def test_a_study_of_texts_from_before_keeps_its_families_and_tears_them_by_its_limit(
    tmp_path: Path,
) -> None:
    path, count = tmp_path / "texts.npz", 80
    texts = [f"a{n} b{n} c{n}"[: 8 if n < 10 else 11] for n in range(40)]
    texts = [part for text in texts for part in (text, text.split(maxsplit=1)[1])]
    labels = np.arange(count) % 4 // 2
    np.savez(path, x_train=texts, y_train=labels, x_test=["yes", "no"], y_test=[0, 1])
    study, _ = opened(tmp_path, f"npz:{path}", space="bilstm", study="old", limit_samples=61)
    groups = duplicates.families(texts)
    before = make_folds(labels, folds=2, seed=0, limit_samples=61, groups=groups, as_before=True)
    assert study.folds.samples == 60  # whole families
    assert before.samples == 61
    begin(study, settings=earlier(study), split={}, folds_digest=before.digest)
    again, _ = opened(tmp_path, f"npz:{path}", space="bilstm", study="old", limit_samples=61)
    assert again.folds.digest == before.digest
    assert again.folds.groups is None  # inner parts are cut as they were
    assert torn(again.folds, groups) == 0


@pytest.mark.slow
def test_a_study_is_continued_with_its_splitter_or_without_any(tmp_path: Path) -> None:
    dataset, five = table(tmp_path), KFold(5, shuffle=True, random_state=3)
    study, _ = opened(tmp_path, dataset, splitter=five, study="mine", folds=None)
    assert study.start.split["splitter"] == "KFold(n_splits=5, random_state=3, shuffle=True)"
    assert (study.start.folds, study.settings.split) == (5, "splitter")
    begin(study)
    for splitter in (five, list(five.split(np.zeros(ROWS))), None):
        again, _ = opened(tmp_path, dataset, splitter=splitter, study="mine", folds=None)
        assert (again.is_new, again.folds.digest) == (False, study.folds.digest)
    with pytest.raises(SettingsError, match="the folds are not those study 'mine' began with"):
        opened(tmp_path, dataset, splitter=KFold(5), study="mine", folds=None)
    study.folder.folds.unlink()
    with pytest.raises(SettingsError, match=r"were cut by KFold\(.*Pass the same again"):
        opened(tmp_path, dataset, study="mine", folds=None)


@pytest.mark.slow
def test_a_splitter_is_another_study_than_the_settings(tmp_path: Path) -> None:
    dataset = table(tmp_path)
    study, _ = opened(tmp_path, dataset)
    begin(study)
    other, told = opened(tmp_path, dataset, splitter=KFold(2))
    assert other.is_new
    assert other.settings.study == "mlp-train-2"
    assert any(
        "`--split`: study 'mlp-train' began with stratified; got splitter" in t for t in told
    )
    with pytest.raises(SettingsError, match=r"give one way of splitting: .*\(kfold\)"):
        opened(tmp_path, dataset, splitter=KFold(2), split="kfold")


@pytest.mark.slow
def test_a_splitter_is_given_the_groups_and_the_samples_in_use(tmp_path: Path) -> None:
    patients = np.arange(ROWS) // 5
    dataset = table(tmp_path, patient=patients)
    study, told = opened(
        tmp_path, dataset, splitter=GroupKFold(3), groups="patient", limit_samples=40
    )
    assert study.folds.samples == 40
    assert torn(study.folds, patients) == 0
    assert not [text for text in told if "leave out" in text]


@pytest.mark.slow
def test_many_folds_of_a_splitter_are_continued(tmp_path: Path) -> None:
    pairs = [(np.delete(np.arange(ROWS), n), [n]) for n in range(30)]
    study, _ = opened(tmp_path, table(tmp_path), splitter=pairs, study="many", folds=None)
    begin(study)
    assert not opened(tmp_path, table(tmp_path), study="many", folds=None)[0].is_new


@pytest.mark.parametrize("kind", ["images", "rows", "texts"])
def test_equal_samples_of_a_file_are_on_one_side_of_the_test_part(
    tmp_path: Path, kind: str
) -> None:
    chance = np.random.RandomState(0)
    samples = {
        "images": chance.randint(0, 255, (40, 8, 8), np.uint8),
        "rows": chance.normal(size=(40, 3)),
        "texts": np.array([f"w{n} x{n}" for n in range(40)]),
    }[kind]
    twice = np.concatenate([samples, samples])
    np.savez(tmp_path / "twice.npz", X=twice, y=np.tile(np.arange(40) % 2, 2))
    space = {"images": "lenet", "rows": "mlp", "texts": "bilstm"}[kind]
    study, _ = opened(tmp_path, f"npz:{tmp_path / 'twice.npz'}", space=space)
    train, test = study.dataset.train_samples, study.dataset.open_test()[0]
    assert len(test) == 16
    in_train, in_test = (
        {sample if kind == "texts" else np.asarray(sample).tobytes() for sample in part}
        for part in (train, test)
    )
    assert not in_train & in_test
    assert len(in_train) == 32


@pytest.mark.slow
def test_equal_pixels_are_on_one_side_whatever_the_pictures_format(tmp_path: Path) -> None:
    chance = np.random.RandomState(0)
    for label in ("cat", "dog"):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for number in range(20):
            picture = Image.fromarray(chance.randint(0, 255, (8, 8), np.uint8))
            for ending in ("png", "bmp"):
                picture.save(tmp_path / "pictures" / label / f"{number:02}.{ending}")
    study, _ = opened(tmp_path, f"folder:{tmp_path / 'pictures'}", space="lenet")
    train, test = study.dataset.train_samples, study.dataset.open_test()[0]
    assert (len(train), len(test)) == (64, 16)
    assert not {image.tobytes() for image in train} & {image.tobytes() for image in test}
    kept = opened(tmp_path, f"folder:{tmp_path / 'pictures'}", space="lenet", allow_duplicates=True)
    train, test = kept[0].dataset.train_samples, kept[0].dataset.open_test()[0]
    assert {image.tobytes() for image in train} & {image.tobytes() for image in test}


def test_a_class_of_equal_pictures_alone_is_refused_with_what_helps(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for number in range(10):
            tone = number if label == "cat" else 200
            Image.new("L", (8, 8), tone).save(tmp_path / "pictures" / label / f"{number}.png")
    with pytest.raises(DataError, match=r"class dog is in too few of them.*`--allow-duplicates`"):
        opened(tmp_path, f"folder:{tmp_path / 'pictures'}", space="lenet")


@pytest.mark.slow
def test_of_rows_in_time_copies_leave_the_training_parts(tmp_path: Path) -> None:
    chance = np.random.RandomState(0)
    rows = np.repeat(chance.normal(size=30), 2)
    dataset = table(tmp_path, a=rows, b=rows, day=chance.permutation(ROWS))
    study, told = opened(tmp_path, dataset, time="day", folds=3)
    assert torn(study.folds, np.arange(ROWS) // 2) == 0
    assert any(text.startswith("Training parts leave out up to") for text in told)
    assert Split.parse(str(study.settings.split)).is_single


@pytest.mark.slow
def test_copies_of_validated_samples_leave_the_training_parts_of_a_splitter(
    tmp_path: Path,
) -> None:
    rows = copies()
    dataset = table(tmp_path, a=rows[:, 0], b=rows[:, 1])
    study, told = opened(tmp_path, dataset, splitter=KFold(3, shuffle=True, random_state=0))
    assert torn(study.folds, np.arange(ROWS) // 2) == 0
    assert any(text.startswith("Training parts leave out up to") for text in told)


PRICES = np.random.RandomState(5).lognormal(size=ROWS).round(4)
PATIENTS = np.arange(ROWS) // 4


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"groups": "patient"},
        {"time": "day"},
        {"fold_column": "part"},
        {"groups": "patient", "split": "group"},
        {"split": "kfold"},
        {"split": "repeated:2"},
        {"limit_samples": 30, "confirm": 1},
        {"drop_duplicates": True, "confirm": 1},
        {"splitter": KFold(3)},
    ],
)
@pytest.mark.parametrize("target", ["price", "price,twice", "red,round,big"])
def test_numbers_and_labels_are_cut_by_every_split(
    tmp_path: Path, target: str, asked: dict[str, Any]
) -> None:
    bits = np.random.RandomState(3).randint(0, 2, (ROWS, 3))
    options = ("groups", "time", "fold_column")
    extras = {"patient": PATIENTS, "day": np.arange(ROWS) // 2, "part": np.arange(ROWS) % 2 + 1}
    given = {asked[name]: extras[asked[name]] for name in options if name in asked}
    columns = {"price": PRICES, "twice": 2 * PRICES}
    columns |= {name: bits[:, at] for at, name in enumerate(("red", "round", "big"))}
    dataset = table(tmp_path, **{name: columns[name] for name in target.split(",")}, **given)
    study, _ = opened(tmp_path, dataset, target=target, ignore="label", **asked)
    assert study.dataset.classes == tuple(target.split(","))
    assert study.start.task == ("multi-label" if target == "red,round,big" else "regression")
    for train, validation in zip(study.folds.train, study.folds.validation, strict=True):
        assert len(train) >= 2
        assert len(validation)
        assert not np.intersect1d(train, validation).size
    if "groups" in asked:
        assert torn(study.folds, PATIENTS) == 0
    if "confirm" in asked:
        assert len(study.confirmation_folds()) == 2 * len(study.folds)
    begin(study)
    again, _ = opened(tmp_path, None, study=study.start.study)  # type: ignore[arg-type]
    assert again.folds.digest == study.folds.digest


@pytest.mark.slow
def test_a_study_from_before_there_were_tasks_reads_classes(tmp_path: Path) -> None:
    grades = np.arange(ROWS) % 3 / 2
    dataset = table(tmp_path, label=grades)
    old, _ = opened(tmp_path, dataset, task="classification", study="old")
    assert old.dataset.classes == ("0", "0.5", "1")
    settings = {name: value for name, value in old.start.settings.items() if name != "task"}
    begin(old, settings=settings)
    rmtree(tmp_path / "home" / "datasets")
    again, _ = opened(tmp_path, dataset, study="old")
    assert (again.is_new, again.dataset.digest) == (False, old.dataset.digest)
    new, told = opened(tmp_path, dataset, study="new")
    assert new.start.task == "regression"
    assert len([text for text in told if "`--task classification`" in text]) == 1


def test_equal_rows_with_different_numbers_are_not_left_out(tmp_path: Path) -> None:
    rows = np.arange(ROWS) // 3
    columns: dict[str, Any] = {"a": rows, "b": rows % 7, "price": PRICES}
    columns["price"] = np.where(np.arange(ROWS) % 3 == 2, np.roll(PRICES, 1), PRICES)
    dataset = table(tmp_path, **columns).partition(",")[0]  # without the test part
    study, told = opened(tmp_path, dataset, target="price", ignore="label", drop_duplicates=True)
    copied = [text for text in told if "leaves out" in text and "drop-duplicates" in text]
    count = len(study.dataset.train_labels)
    assert f"{count // 3:,} of {count:,}" in copied[0]
    assert torn(study.folds, np.asarray(study.dataset.train_samples)[:, 0]) == 0
