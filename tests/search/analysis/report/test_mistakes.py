import io

import numpy as np
import pytest
from PIL import Image

from search.analysis.report.mistakes import most_wrong
from search.analysis.report.subject import Subject
from search.data import Reading, load
from search.data.folds import Folds
from search.errors import DataError
from tests.search.analysis.report.samples import study_on
from tracking.home import Home


@pytest.fixture
def wrong(tmp_path):
    def wrong(study):
        folder = Home(tmp_path).study(study.records[0].study)
        return most_wrong(Subject(study.history), folder, home=tmp_path, data_dir=None)

    return wrong


def test_the_surest_mistakes_come_first_with_their_pictures(tmp_path, wrong):
    found = wrong(study_on(tmp_path))
    folds = Folds.load(Home(tmp_path).study("study").folds)
    assert [entry.index for entry in found] == [part[3] for part in reversed(folds.validation)]
    dataset = load("digits", home=tmp_path)
    for entry in found:
        picture = np.asarray(Image.open(io.BytesIO(entry.sample)))
        assert (picture == dataset.train_images[entry.index][..., 0]).all()
        label = dataset.train_labels[entry.index]
        assert entry.words.true == dataset.classes[label]
        assert entry.words.predicted.startswith(f"{dataset.classes[(label + 1) % 10]}, 99.")
    assert found[0].size > found[1].size > 0.98


def test_rows_of_a_table_come_with_their_columns(tmp_path, wrong):
    file = tmp_path / "table.csv"
    rows = [f"{n / 4},{n % 7},{n % 2}" for n in range(60)]
    file.write_text("\n".join(["width,height,label", *rows]) + "\n")
    first, _ = wrong(study_on(tmp_path, f"csv:{file}"))
    assert [name for name, _ in first.sample] == ["width", "height"]


def test_values_of_a_row_come_as_they_are_in_the_file(tmp_path, wrong):
    file = tmp_path / "table.csv"
    cities, days = ("oslo", "bergen", ""), ("2024-05-01", "2024-05-02 06:30:00", "")
    rows = [
        f"{cities[n % 3]},{('no', 'yes')[n % 2]},{days[n // 2 % 3]},{1_700_000_000 + n},c{n % 2}"
        for n in range(60)
    ]
    file.write_text("\n".join(["city,alive,seen,when,kind", *rows]) + "\n")
    reading = Reading(target="kind", types={"when": "number"})
    found = wrong(study_on(tmp_path, f"csv:{file}", reading=reading))
    assert found
    for entry in found:
        sample = dict(entry.sample)
        number = int(sample["when"]) - 1_700_000_000
        assert [sample["city"], sample["alive"], sample["seen"]] == rows[number].split(",")[:3]
        assert list(sample) == ["city", "alive", "seen", "when"]


def test_texts_come_as_texts_and_long_ones_are_cut(tmp_path, wrong):
    folder = tmp_path / "data" / "sst2"
    folder.mkdir(parents=True)
    rows = [f"{'a long text ' * 60}number {n}\t{n % 2}" for n in range(60)]
    for name in ("train.tsv", "dev.tsv"):
        (folder / name).write_text("\n".join(["sentence\tlabel", *rows]) + "\n")
    first, _ = wrong(study_on(tmp_path, "sst2", data_dir=tmp_path / "data"))
    assert first.sample.startswith("a long text a long text")
    assert len(first.sample) < 410


def test_a_dataset_that_is_not_here_is_no_guess(tmp_path, wrong):
    study = study_on(tmp_path)
    study.records[0].dataset["digest"] = "0" * 64
    with pytest.raises(DataError, match="not the one the study began with"):
        wrong(study)


def test_a_dataset_nobody_has_is_not_downloaded(tmp_path, wrong):
    study = study_on(tmp_path)
    study.records[0].dataset["name"] = "tfds:never_heard_of"
    with pytest.raises(DataError):
        wrong(study)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no archive"])
def test_damaged_predictions_are_named(tmp_path, wrong, damage):
    study = study_on(tmp_path)
    path = Home(tmp_path).study("study").predictions(0, 2)
    path.write_bytes(damage)
    with pytest.raises(DataError, match=r"trial-00000-fold-02\.npz cannot be read"):
        wrong(study)


def test_missing_folds_are_named(tmp_path, wrong):
    study = study_on(tmp_path)
    Home(tmp_path).study("study").folds.unlink()
    with pytest.raises(DataError, match=r"folds\.npz"):
        wrong(study)


def test_predictions_of_other_samples_are_refused(tmp_path, wrong):
    study = study_on(tmp_path)
    folder = Home(tmp_path).study("study")
    swapped = folder.predictions(0, 1).read_bytes()
    folder.predictions(0, 1).write_bytes(folder.predictions(0, 2).read_bytes())
    folder.predictions(0, 2).write_bytes(swapped)
    with pytest.raises(DataError, match=r"fit the study's folds|labels are not those"):
        wrong(study)


def test_a_sample_that_is_wrong_repeatedly_is_shown_once(tmp_path, wrong):
    found = wrong(study_on(tmp_path, repeats=2))
    folds = Folds.load(Home(tmp_path).study("study").folds)
    assert len(folds) == 4
    assert [entry.index for entry in found] == [folds.validation[n][3] for n in (1, 0)]


def test_a_table_is_read_as_the_study_read_it(tmp_path, wrong):
    file = tmp_path / "table.csv"
    rows = [f"{n / 4},{n % 7},{n % 2},{n}" for n in range(60)]
    file.write_text("\n".join(["width,height,kind,number", *rows]) + "\n")
    options = {"target": "kind", "ignore": ["number"]}
    study = study_on(tmp_path, f"csv:{file}", reading=Reading(**options))
    study.records[0].settings.update(options, split="stratified")
    first, _ = wrong(study)
    assert [name for name, _ in first.sample] == ["width", "height"]
