import pytest

from tests.faults.books import check_books

pytestmark = pytest.mark.slow

SMALL = ("--trials", "1", "--folds", "1", "--epochs", "1", "--limit-samples", "100")


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("../../out", "../../out"),
        (".hidden/../x [/b] $(id) -x", "'.hidden/../x [/b] $(id) -x'"),
        ("a 'b' \"c\" ☕ {d} %2F", """'a '"'"'b'"'"' "c" ☕ {d} %2F'"""),
    ],
    ids=["upwards", "hidden", "quoted"],
)
def test_whatever_a_study_is_called_it_is_shown_so_and_stays_inside_the_home(user, name, typed):
    home = user.folder / "mlruns"
    before = set(user.folder.parent.iterdir())
    arguments = ("--space", "mlp", "--dataset", "digits", "--no-baselines", f"--study={name}")
    done = user.here("run", *arguments, *SMALL)
    assert done.code == 0, done.err
    assert f"foldwise show {typed}\n" in done.out
    outside = {path.name for path in user.folder.iterdir()} - {"mlruns"}
    assert outside <= {".keras", ".cache", ".config"}  # Keras's settings and fonts, empty of ours
    assert set(user.folder.parent.iterdir()) == before
    [journal] = home.glob("studies/*/journal.jsonl")
    check_books(journal, f"sqlite:///{home}/mlflow.db")
    shown = user.here("show", "--json", "--", name)
    assert shown.code == 0, shown.err
    assert shown.json["study"] == name
    assert name in user.here("studies").out
