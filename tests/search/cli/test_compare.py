import json
import sys
from pathlib import Path

import pytest

from search.cli import output
from search.cli.app import run
from tests.search.analysis.comparison.comparing import (
    MIDDLE,
    STRONG,
    WEAK,
    Studies,
    complete,
    confirm,
)
from tests.studies import RegressionStudyBuilder

USAGE, NOTHING = 2, 1


@pytest.fixture
def studies(tmp_path) -> Studies:
    return Studies(tmp_path / "mlruns")


@pytest.fixture
def compare(tmp_path, monkeypatch, capsys):
    """Run the command at a width; return exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def compare(*arguments: str, width: int = 100) -> tuple[int, str, str]:
        monkeypatch.setattr(output.console, "_width", width)
        monkeypatch.setattr(output.errors, "_width", 400)
        monkeypatch.setattr(sys, "argv", ["search", "compare", *arguments])
        with pytest.raises(SystemExit) as caught:
            run()
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    return compare


def three(studies) -> None:
    for name, scores in (("lenet", STRONG), ("mlp", MIDDLE), ("cnn", WEAK)):
        study = studies.begin(name)
        latency = {"latency_ms": 2.125 if name == "lenet" else None}
        confusion = [[30 - len(name), len(name), 0], [1, 29, 0], [0, 5, 25]]
        complete(study, 0, scores, scores=latency, confusion=confusion, train_seconds=77.0)
        studies.write(study)


def row(text: str, start: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.startswith(start))


def whole_rows(lines: list[str], heading: str, *starts: str) -> list[str]:
    """Return a table's lines; none of its rows goes on in the next line."""
    at = next(n for n, line in enumerate(lines) if line.startswith(heading))
    found = lines[at : at + 1 + len(starts)]
    assert [row[: len(start)] for row, start in zip(found[1:], starts, strict=True)] == [*starts]
    assert lines[at + 1 + len(starts)].strip()[:8] in ("", "Friedman")
    return found


def test_the_verdict_comes_first_and_how_to_get_pictures_last(studies, compare):
    three(studies)
    code, out, err = compare("lenet", "cnn")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0].startswith("lenet is better than cnn by 6.00 points of accuracy (95 % interval")
    assert lines[-1] == "Pictures  foldwise compare lenet cnn --out comparison"


def test_the_hint_repeats_trials_and_home(studies, compare, tmp_path):
    studies.study("two words", WEAK, STRONG)
    home = tmp_path / "mlruns"
    _, out, _ = compare("two words", "--trials", "0,1", "--home", str(home))
    assert out.splitlines()[-1] == (
        f"Pictures  foldwise compare 'two words' --trials 0,1 --home {home} --out comparison"
    )


def test_two_have_a_row_each_and_one_of_their_difference(studies, compare):
    three(studies)
    _, out, _ = compare("lenet", "cnn", width=120)
    heading = "trial accuracy ± folds macro F1 loss time parameters"
    assert " ".join(row(out, "   trial")) == heading + " latency ms"
    assert row(out, "A  lenet")[2:] == [
        "0.9100", "0.0158", "0.9000", "0.3900", "1m", "17s", "504,342", "2.12"
    ]  # fmt: skip
    assert row(out, "B  cnn")[-2:] == ["504,342", "-"]
    assert row(out, "       points") == ["points", "95", "%", "interval", "p", "McNemar", "p"]
    assert row(out, "A - B")[3] == "6.00"
    assert row(out, "A - B")[-2:] == ["<0.001", "-"]


def test_numbers_are_told_in_their_unit_and_the_better_is_ahead(studies, compare):
    for name, level in (("good", 0.7), ("poor", 0.6)):
        study = RegressionStudyBuilder(name, folds=5)
        study.session()
        study.start_trial(0)
        for fold in range(1, 6):
            study.fold(0, fold, level=level + 0.01 * (fold % 2))
        study.end_trial(0, "complete", level)
        studies.write(study)
    code, out, _ = compare("good", "poor", width=120)
    assert code == 0
    assert out.splitlines()[0].startswith("good is better than poor by 10,000 of RMSE (95 %")
    assert row(out, "   trial")[1:6] == ["RMSE", "±", "folds", "MAE", "R²"]
    assert row(out, "A  good")[2:4] == ["29,100", "570"]
    assert "Differences in RMSE; smaller is better" in out
    assert row(out, "       difference")[0] == "difference"
    assert row(out, "B - A")[3] == "10,000"
    assert "%" not in out.replace("95 % interval", "")
    assert compare("good", "poor", "--objective", "r2")[1].splitlines()[-1] == (
        "Pictures  foldwise compare good poor --objective r2 --out comparison"
    )


def test_three_have_corrected_pairs_and_ranks(studies, compare):
    three(studies)
    _, out, _ = compare("lenet", "mlp", "cnn")
    assert "Holm p" in out
    assert [row(out, pair)[3] for pair in ("A - B", "A - C", "B - C")] == ["0.50", "6.00", "5.50"]
    assert "Friedman p 0.0" in out
    assert "mean ranks A 1.40, B 1.60, C 3.00; critical difference 1.48" in out


def test_the_classes_that_differ_most_are_listed(studies, compare):
    three(studies)
    _, out, _ = compare("lenet", "cnn")
    assert "Right, by class" in out
    assert row(out, "T-shirt/top  ")[1:] == ["83.3", "%", "90.0", "%", "-6.67"]
    assert row(out, "T-shirt/top taken for Trouser")[3:] == [
        "Trouser", "16.7", "%", "10.0", "%", "6.67"
    ]  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_table_is_wider_than_the_terminal(studies, compare, width):
    three(studies)
    _, out, _ = compare("lenet", "mlp", "cnn", width=width)
    lines = out.splitlines()
    whole_rows(lines, "   trial", "A  lenet", "B  mlp", "C  cnn")
    whole_rows(lines, "       points", "A - B", "A - C", "B - C")
    whole_rows(lines, "class  ", "T-shirt/top ")
    whole_rows(lines, "confused  ", "T-shirt/top taken for Trouser ")
    assert "…" not in out
    assert row(out, "A  lenet")[2] == "0.9100"
    assert row(out, "A - C")[3] == "6.00"


@pytest.mark.slow
def test_in_a_narrow_place_the_interval_stays_and_other_tests_are_left_out(studies, compare):
    for name, scores in (("lenet", STRONG), ("mlp", MIDDLE), ("cnn", WEAK)):
        study = studies.begin(name)
        complete(study, 0, scores)
        confirm(study, 0, [score - 0.01 for score in scores] * 2)
        studies.write(study)
    found = {}
    for width in (100, 60, 52, 40):
        lines = compare("lenet", "mlp", "cnn", width=width)[1].splitlines()
        heading, *_ = whole_rows(lines, "       points", "A - B", "A - C", "B - C")
        found[width] = [word for word in ("interval", "McN", "Wilc", "Holm") if word in heading]
    assert found == {
        100: ["interval", "McN", "Wilc", "Holm"],
        60: ["interval", "McN", "Holm"],
        52: ["interval", "McN", "Holm"],
        40: ["interval", "Holm"],
    }


def test_in_a_narrow_place_the_costs_of_trials_are_left_out_first(studies, compare):
    three(studies)
    headings = [row(compare("lenet", "cnn", width=w)[1], "   trial") for w in (70, 60, 50)]
    rest = ["trial", "accuracy", "±", "folds"]
    assert headings == [
        [*rest, "macro", "F1", "loss", "time", "parameters"],
        [*rest, "macro", "F1", "loss", "time"],
        [*rest, "macro", "F1", "loss"],
    ]


def test_a_long_name_stands_in_a_line_of_its_own_and_is_not_cut(studies, compare):
    name = "a-study-with-a-name-that-is-longer-than-most"
    studies.study(name, STRONG)
    studies.study("cnn", WEAK)
    _, out, _ = compare(name, "cnn", width=60)
    assert row(out, "A ")[1] == "0.9100"
    assert f"   {name}" in out.splitlines()


def test_brackets_in_names_are_no_markup(studies, compare):
    studies.study("[red]a[/]", STRONG)
    studies.study("b", WEAK)
    _, out, _ = compare("[red]a[/]", "b")
    assert out.count("[red]a[/]") >= 2


def test_notes_follow_the_verdict(studies, compare):
    studies.study("lenet", STRONG)
    studies.study("cnn", WEAK, folds_digest="99" * 32)
    _, out, _ = compare("lenet", "cnn")
    assert out.splitlines()[1].startswith("Studies with different folds are compared unpaired")


def test_one_study_compares_its_best_with_its_baselines(studies, compare):
    studies.study("lenet", WEAK, STRONG, baselines=1)
    _, out, _ = compare("lenet")
    assert out.startswith("lenet trial 1 is better than plain-0 by 6.00 points")


@pytest.mark.slow
def test_the_json_is_one_document_with_everything(studies, compare):
    three(studies)
    _, out, err = compare("lenet", "mlp", "cnn", "--json", "--out", "pictures")
    found = json.loads(out)
    assert err == ""
    assert [entry["label"] for entry in found["entries"]] == ["lenet", "mlp", "cnn"]
    assert len(found["pairs"]) == 3
    assert [Path(path).name for path in found["files"]] == [
        "difference.png",
        "critical_difference.png",
        "comparison.csv",
        "comparison.tex",
        "comparison.json",
    ]
    assert json.loads(Path(found["files"][4]).read_text())["verdict"] == found["verdict"]


@pytest.mark.slow
def test_pictures_are_written_and_named(studies, compare):
    three(studies)
    _, out, _ = compare("lenet", "cnn", "--out", "new/place")
    assert out.splitlines()[-4:] == [
        "wrote new/place/difference.png",
        "wrote new/place/comparison.csv",
        "wrote new/place/comparison.tex",
        "wrote new/place/comparison.json",
    ]
    assert Path("new/place/difference.png").is_file()


def test_without_out_nothing_is_written(studies, compare, tmp_path):
    three(studies)
    before = sorted(tmp_path.rglob("*"))
    compare("lenet", "cnn")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["lenett", "cnn"], USAGE, "no study is called 'lenett' in mlruns; did you mean lenet?"),
        (["lenet", "lenet"], USAGE, "each study must be named once"),
        (["lenet"], NOTHING, "two complete trials are needed; study lenet has one"),
        (["lenet", "empty"], NOTHING, "study empty has no complete trial yet"),
        (["lenet", "other"], USAGE, "other is on mnist"),
        (["lenet", "--trials", "0,9"], USAGE, "which has 1, from 0; got 9"),
        (["lenet", "--trials", "zero"], USAGE, "`--trials` must be `best` or the numbers"),
        (["lenet", "cnn", "--trials", "0,1"], USAGE, "for the trials of one study"),
        (["lenet", "cnn", "--out", "file"], USAGE, "`--out` must be a folder"),
        (["lenet", "cnn", "--out", "file/below"], USAGE, "`--out` must be a folder"),
    ],
)
def test_a_mistake_gets_one_clear_message(studies, compare, tmp_path, arguments, code, words):
    three(studies)
    studies.write(studies.begin("empty"))
    other = {"name": "mnist", "digest": "ef" * 32, "classes": [], "samples": 90}
    studies.study("other", STRONG, dataset=other)
    (tmp_path / "file").write_text("x")
    found, out, err = compare(*arguments)
    assert (found, out) == (code, "")
    assert err.startswith("Error: ")
    assert words in " ".join(err.split())
