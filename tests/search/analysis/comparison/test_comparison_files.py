import json
import os

import numpy as np
import pandas
import pytest

from search.analysis.comparison.comparison import compare
from search.analysis.comparison.contenders import chosen_contenders
from search.analysis.comparison.files import write_comparison
from search.errors import SettingsError
from tests.search.analysis.comparison.comparing import MIDDLE, STRONG, WEAK

PNG = b"\x89PNG"


@pytest.fixture
def three(studies):
    for name, scores in (("a", STRONG), ("b", MIDDLE), ("c", WEAK)):
        studies.study(name, scores)
    return compare(chosen_contenders(studies.home, ["a", "b", "c"]))


@pytest.mark.slow
def test_three_have_two_pictures_and_their_numbers(three, tmp_path):
    paths = write_comparison(three, tmp_path / "new" / "out")
    assert [path.name for path in paths] == [
        "difference.png",
        "critical_difference.png",
        "comparison.csv",
        "comparison.tex",
        "comparison.json",
    ]
    assert all(path.read_bytes().startswith(PNG) for path in paths[:2])
    assert json.loads(paths[4].read_text())["friedman"]["folds"] == 5


def test_two_have_one_picture(studies, tmp_path):
    studies.study("a", STRONG)
    studies.study("b", WEAK)
    found = compare(chosen_contenders(studies.home, ["a", "b"]))
    paths = write_comparison(found, tmp_path)
    assert [path.name for path in paths] == [
        "difference.png",
        "comparison.csv",
        "comparison.tex",
        "comparison.json",
    ]


def test_the_tables_have_means_spreads_and_differences_to_the_first(studies, tmp_path):
    for name, scores in (("a_b", STRONG), ("b", MIDDLE), ("c", WEAK)):
        studies.study(name, scores)
    found = compare(chosen_contenders(studies.home, ["a_b", "b", "c"]))
    write_comparison(found, tmp_path)
    rows = pandas.read_csv(tmp_path / "comparison.csv")
    assert rows["trial"].tolist() == ["a_b", "b", "c"]
    for name, scores in (("accuracy", np.array(WEAK)), ("macro_f1", np.array(WEAK) - 0.01)):
        assert rows[name][2] == pytest.approx(scores.mean())
        assert rows[f"{name}_std"][2] == pytest.approx(scores.std(ddof=1))
    last = next(pair for pair in found.pairs if (pair.first, pair.second) == (0, 2))
    assert rows["behind"].isna().tolist() == [True, False, False]
    assert rows["behind_low"][2] == pytest.approx(last.difference.low)
    assert rows["holm_p"][2] == pytest.approx(last.holm_p)
    lines = (tmp_path / "comparison.tex").read_text().splitlines()
    assert lines[0].startswith("% Mean ± standard deviation over 5 folds of digits.")
    table = [line.removesuffix(r" \\").split(" & ") for line in lines if " & " in line]
    assert [row[0] for row in table] == ["", r"a\_b", "b", "c"]
    assert table[0][-2:] == [r"behind (points), 95 \% interval", "Holm p"]
    assert table[3][1] == "0.8500 ± 0.0158"
    assert table[3][-2].startswith("6.00 (")


@pytest.mark.slow
def test_files_of_the_same_names_are_replaced(three, tmp_path):
    write_comparison(three, tmp_path)
    (tmp_path / "difference.png").write_bytes(b"old")
    (tmp_path / "other").write_bytes(b"kept")
    write_comparison(three, tmp_path)
    assert (tmp_path / "difference.png").read_bytes().startswith(PNG)
    assert (tmp_path / "other").read_bytes() == b"kept"


@pytest.mark.slow
def test_a_picture_of_more_contenders_does_not_stay(three, studies, tmp_path):
    write_comparison(three, tmp_path)
    found = compare(chosen_contenders(studies.home, ["a", "b"]))
    write_comparison(found, tmp_path)
    assert not (tmp_path / "critical_difference.png").exists()


def test_a_file_as_target_is_refused(three, tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(SettingsError, match="`--out` must be a folder that can be written"):
        write_comparison(three, tmp_path / "out")


def test_a_folder_in_a_file_s_place_is_refused(three, tmp_path):
    (tmp_path / "difference.png").mkdir()
    with pytest.raises(SettingsError, match=r"difference\.png cannot be"):
        write_comparison(three, tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(three, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(SettingsError, match="cannot be"):
        write_comparison(three, tmp_path)


def test_a_full_disk_is_one_clear_message(three, small_disk):
    folder = small_disk(8)
    with pytest.raises(SettingsError, match="No space left"):
        write_comparison(three, folder)
