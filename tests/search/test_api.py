import subprocess
import sys
import sysconfig
import warnings
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.model_selection import cross_val_score

import search
from search import (
    FoldwiseError,
    Notice,
    SettingsError,
    StudySettings,
    compare_studies,
    load_study,
    run_study,
)
from search.api import data_folder
from search.data.splits import make_folds
from search.notices import warnings_at_caller
from spaces import get_space
from tests.studies import MultiLabelStudyBuilder, StudyBuilder
from tests.tracking.test_html import EVIL, EvilBuilder, check
from tracking.home import Home
from tracking.records import FoldEnded, FoldStarted

TINY = {
    "dataset": "digits",
    "folds": 2,
    "epochs": 2,
    "limit_samples": 200,
    "set": {"batch_size": 64},
}


@pytest.fixture
def stored(tmp_path):
    """Write a study of every kind of trial to a home, and load it."""
    study = StudyBuilder().every_kind_of_trial()
    study.write(Home(tmp_path).study("lenet-digits").journal)
    return study, load_study("lenet-digits", home=tmp_path)


def test_the_home_is_what_is_given_else_what_the_environment_names(stored, tmp_path, monkeypatch):
    monkeypatch.setenv("FOLDWISE_HOME", str(tmp_path))
    assert load_study("lenet-digits").home == Home(tmp_path)
    assert "trial 1" in str(compare_studies("lenet-digits"))
    with pytest.raises(SettingsError, match=f"no study is called .* in {tmp_path / 'other'}"):
        load_study("lenet-digits", home=tmp_path / "other")
    with pytest.raises(SettingsError, match=f"in {tmp_path};"):
        run_study(study="unknown")  # nobody has said with which space
    monkeypatch.setenv("FOLDWISE_HOME", "")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="in mlruns"):
        load_study("lenet-digits")


def test_trials_are_a_table_by_number(stored):
    study, result = stored
    trials = result.trials
    assert list(trials.index) == [0, 1, 2, 3, 4]
    assert trials.index.name == "trial"
    assert list(trials["state"]) == ["complete", "complete", "pruned", "failed", "running"]
    assert list(trials["cv_accuracy"][:2]) == [0.80, 0.85]
    assert trials["cv_accuracy"][2:].isna().all()
    assert list(trials["folds"]) == [2, 2, 0, 0, 0]
    assert trials["epochs_trained"][4] == 1  # it runs
    assert trials["reason"][3] == "out of memory"
    names = [f"params_{entry['name']}" for entry in study.records[0].parameters]
    assert list(trials.columns)[-len(names) :] == names
    assert trials.loc[1, "params_filters"] == study.history.trials[1].started.parameters["filters"]


def test_folds_are_a_table_with_those_that_confirm_marked(tmp_path):
    study = StudyBuilder(folds=2)
    study.session()
    study.complete_trial(0, level=0.85)
    study.confirm_trial(0, level=0.81)
    study.write(Home(tmp_path).study("a").journal)
    folds = load_study("a", home=tmp_path).folds
    assert list(folds["fold"]) == [1, 2, 3, 4, 5, 6]
    assert list(folds["confirms"]) == [False, False, True, True, True, True]
    assert folds["accuracy"][0] == study.history.trials[0].finished_folds()[1].accuracy


@pytest.mark.slow
def test_scores_follow_from_the_out_of_fold_predictions(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4))
    y = np.where(x[:, 0] + rng.normal(size=200) > 1, "sick", "well")
    result = run_study(
        "mlp", data=(x, y), test=False, trials=2, folds=2, epochs=2, objective="macro_f1",
        metrics="roc_auc", confirm=1, pruner="none", precision="float32", home=tmp_path,
    )  # fmt: skip
    found, folds = result.predictions, result.folds.set_index(["trial", "fold"])
    assert list(found.columns) == [
        *("trial", "fold", "sample", "actual", "predicted"),
        *("predicted_probability", "actual_probability"),
        *("probability_sick", "probability_well", "confirms"),
    ]
    both = found[["probability_sick", "probability_well"]]
    np.testing.assert_allclose(both.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(both.max(axis=1), found["predicted_probability"], atol=1e-3)
    assert len(found.groupby(["trial", "fold"])) == len(folds) > 4
    for place, part in found.groupby(["trial", "fold"]):
        assert part["actual"].tolist() == y[part["sample"]].tolist()
        named = part["predicted"] == "well"
        well = np.where(named, part["predicted_probability"], 1 - part["predicted_probability"])
        f1 = f1_score(part["actual"], part["predicted"], average="macro")
        assert folds.loc[place, "macro_f1"] == pytest.approx(f1)
        area = roc_auc_score(part["actual"] == "well", well)
        assert folds.loc[place, "roc_auc"] == pytest.approx(area, abs=1e-6)
        assert part["confirms"].unique() == [place[1] > 2]
    for trial in (0, 1):
        own = folds.loc[trial].query("not confirms")["macro_f1"]
        assert result.trials.loc[trial, "cv_macro_f1"] == pytest.approx(own.mean())
        assert result.trials.loc[trial, "cv_macro_f1_std"] == pytest.approx(own.std())
    value = result.history.trials[0].value
    assert value == pytest.approx(result.trials.loc[0, "cv_macro_f1"])
    for fold, (train, validation) in enumerate(result.splits, start=1):
        assert sorted([*train, *validation]) == list(range(200))
        mine = found.query(f"trial == 0 and fold == {fold}")["sample"]
        assert mine.tolist() == validation.tolist()


@pytest.mark.slow
def test_a_small_search_confirms_its_best_trial_and_says_whether_it_beats_the_baseline(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4))
    y = np.where(x[:, 0] + x[:, 1] + rng.normal(size=200) / 2 > 0, "sick", "well")
    asked = {"data": (x, y), "test": False, "folds": 2, "epochs": 3, "pruner": "none"}
    result = run_study("mlp", **asked, trials=12, precision="float32", home=tmp_path)
    session, leader = result.history.sessions[-1], result.history.leader()
    assert session.auto_confirm
    assert "more folds each" in session.confirmation["told"]
    assert leader is not None
    kept = [trial for trial in result.history.completed() if trial.confirmed]
    assert leader.started.is_baseline or {2} == {len(t.confirmation_folds) for t in kept}
    assert result.verdict
    end = result.history.last_end
    assert end is not None
    assert (end.best, end.verdict) == (result.best_trial.number, result.verdict)
    again = load_study(result.name, home=tmp_path)
    assert again.verdict == result.verdict
    assert again.best_trial.number == result.best_trial.number


@pytest.mark.slow
def test_a_search_that_stops_by_itself_says_why_and_goes_on_when_asked_to(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(120, 3)), rng.integers(0, 2, 120)
    alike = {"units_1": "32", "units_2": "16", "learning_rate": "0.0001"}
    asked = {"data": (x, y), "test": False, "folds": 2, "epochs": 1, "pruner": "none"}
    asked |= {"precision": "float32", "home": tmp_path, "sampler": "random", "confirm": 0}
    asked |= {"notify": lambda _: None}
    result = run_study("mlp", **asked, set=alike, trials=60, stop="auto")
    assert result.reason == "enough"
    count = len(result.history.trials)
    assert 15 <= count < 60
    end = result.history.last_end
    assert end is not None
    assert end.told.startswith(f"After {count} trials, {60 - count} more are expected to gain")
    more = run_study("mlp", **asked, set=alike, trials=count + 1, stop="none")
    assert more.reason == "complete"
    assert len(more.history.trials) == count + 1


def test_predictions_have_a_column_for_each_label(tmp_path):
    study, folder = MultiLabelStudyBuilder("films", folds=2), Home(tmp_path).study("films")
    made = study.predictions(0.8)
    study.start_trial(0)
    study.add(FoldStarted, trial=0, fold=1)
    path = folder.predictions(0, 1)
    fields = {"seconds": 1.0, "predictions": str(path.relative_to(folder.root))}
    study.add(FoldEnded, trial=0, fold=1, loss=0.1, **fields)
    study.write(folder.journal)
    folds = make_folds(np.arange(2 * len(made.labels)) % 2, folds=2, seed=0)
    folds.save(folder.folds)
    made.save(path)
    found = load_study("films", home=tmp_path).predictions
    assert found["actual_love story"].tolist() == made.labels[:, 2].tolist()
    assert found["probability_love story"].tolist() == made.probabilities[:, 2].tolist()
    assert found["sample"].tolist() == folds.validation[0].tolist()


def test_the_best_trial_has_its_setting_and_score(stored):
    _, result = stored
    assert (result.best.number, result.best.value) == (1, 0.85)
    assert result.best_trial is result.best
    assert result.best_params == result.best.params
    assert result.best_value == 0.85
    assert repr(result) == "<study 'lenet-digits': 4 of 5 trials done, best cv_accuracy 0.8500>"
    assert "best cv_accuracy 0.8500" in check(result._repr_html_()).text


def test_a_study_without_trials_has_empty_tables(tmp_path):
    StudyBuilder().write(Home(tmp_path).study("new").journal)
    result = load_study("new", home=tmp_path)
    assert result.best is None
    assert len(result.trials) == len(result.folds) == 0
    assert repr(result) == "<study 'lenet-digits': 0 of 0 trials done>"
    check(result._repr_html_())
    for name in ("best_trial", "best_params", "best_value"):
        with pytest.raises(FoldwiseError, match="has no complete trial"):
            getattr(result, name)
    with pytest.raises(FoldwiseError, match="has no complete trial"):
        result.best_model()


def test_an_unknown_study_is_refused_with_near_matches(stored, tmp_path):
    with pytest.raises(SettingsError, match="lenet-digits"):
        load_study("lenet-digit", home=tmp_path)


def test_what_the_package_offers_can_be_had():
    for name in search.__all__:
        assert getattr(search, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        search.nothing  # noqa: B018 # asking is the test


@pytest.mark.parametrize(
    ("value", "text"),
    [(64, "64"), (True, "on"), ([32, 64], "32,64"), ([True, False], "on,off"), ("1:9", "1:9")],
)
def test_set_takes_values_as_python_has_them(value, text):
    assert StudySettings(space="mlp", set={"batch_size": value}).set == {"batch_size": text}


@pytest.mark.slow
def test_a_study_runs_and_goes_on_as_settings_say(tmp_path):
    told, seen = [], []

    def display(opened):
        from contextlib import nullcontext

        return nullcontext(lambda record: seen.append(type(record).__name__))

    settings = StudySettings(space="mlp", study="toy", trials=1, **TINY)
    first = run_study(settings, home=tmp_path, notify=told.append, display=display)
    assert (first.reason, first.waiting, first.name) == ("complete", 0, "toy")
    assert told == ["Getting digits (scikit-learn)."]
    assert seen.count("FoldEnded") == 2
    second = run_study(study="toy", space="mlp", trials=2, home=tmp_path)
    assert list(second.trials["state"]) == ["complete", "complete"]
    assert second.trials.loc[0].equals(first.trials.loc[0])
    assert load_study("toy", home=tmp_path).trials.equals(second.trials)


def test_what_a_study_ended_with_shows_in_a_notebook(stored):
    _, result = stored
    shown = replace(result, reason="timeout", fallback="digits is used instead", waiting=3)
    text = check(shown._repr_html_()).text
    assert "ended: timeout" in text
    assert "digits is used instead" in text
    assert "3 records not in MLflow yet" in text


@pytest.mark.slow
def test_figures_are_printed_as_their_names(stored):
    _, result = stored
    assert isinstance(result.figures, dict)
    assert repr(result.figures).startswith("<figures optimisation_history, ")
    assert len(repr(result.figures)) < 300


def written(home, name, *levels):
    study = StudyBuilder(name)
    study.session()
    for number, level in enumerate(levels):
        study.complete_trial(number, level=level)
    study.write(Home(home).study(name).journal)


def test_studies_are_compared_by_their_results_by_names_or_by_a_list_of_either(tmp_path):
    written(tmp_path, "a", 0.80)
    written(tmp_path, "b", 0.85)
    one, other = load_study("a", home=tmp_path), load_study("b", home=tmp_path)
    expected = compare_studies("a", "b", home=tmp_path).verdict
    assert compare_studies(one, other).verdict == expected
    assert compare_studies([one, other]).verdict == expected
    assert compare_studies(["a", "b"], home=tmp_path).verdict == expected
    assert compare_studies(one, "b").verdict == expected


def test_what_is_no_study_and_studies_of_two_homes_are_refused_by_name(tmp_path):
    written(tmp_path / "one", "a", 0.80)
    written(tmp_path / "two", "b", 0.85)
    one, other = (load_study(n, home=tmp_path / h) for n, h in (("a", "one"), ("b", "two")))
    with pytest.raises(SettingsError, match=r"b is in .*two, not in .*one"):
        compare_studies(one, other)
    with pytest.raises(SettingsError, match=r"must be names, or what .* got History"):
        compare_studies(one, one.history)


def test_a_comparison_shows_verdict_table_and_picture(tmp_path):
    study = EvilBuilder("a")
    study.session()
    study.complete_trial(0, level=0.80)
    study.complete_trial(1, level=0.85)
    study.write(Home(tmp_path).study("a").journal)
    found = compare_studies("a", trials="0,1", home=tmp_path)
    assert repr(found).startswith("<comparison of 2 trials on ")
    assert len(repr(found)) < 500
    page = check(found._repr_html_())
    assert found.verdict in page.text
    assert EVIL in page.text  # the dataset's name
    assert "svg" in page.tags


def test_settings_and_spaces_are_printed_shortly():
    settings = StudySettings(space="mlp", trials=3)
    assert repr(settings).startswith("StudySettings(space='mlp', trials=3")
    assert len(repr(settings)) < 100
    assert repr(get_space("mlp")).startswith("<space 'mlp': ")


def told(place, lines, **names):
    """Run lines as a file at a place, and return file and line of the notices they lead to."""
    code = compile("\n".join(lines), str(place), "exec")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        warnings.simplefilter("ignore", DeprecationWarning)  # as Python does
        exec(code, {"__name__": "__main__", **names})  # noqa: S102 # as a notebook does
    assert [str(one) for one in caught if one.category is not Notice] == []
    return [(one.filename, one.lineno, str(one.message)) for one in caught]


def called_by_ours(times=1):
    tell = ours["warnings_at_caller"]()
    for _ in range(times):
        tell("careful")
    tell("Getting digits (scikit-learn).")  # what takes time is no warning


# A function of this project, whatever its file.
ours = {"__name__": "search.made_up", "warnings_at_caller": warnings_at_caller}
called_by_ours = type(called_by_ours)(called_by_ours.__code__, ours | {"ours": ours}, argdefs=(1,))


def test_a_notice_points_at_the_line_of_the_call_at_every_call(tmp_path):
    lines = ["x = 1", "for _ in range(2):", "    call(2)"]
    cell = tmp_path / "ipykernel_1" / "2.py"
    assert told(cell, lines, call=called_by_ours) == [(str(cell), 3, "careful")] * 2


@pytest.mark.parametrize("place", ["lib/site-packages", sysconfig.get_path("stdlib")])
def test_a_notice_points_behind_installed_packages_that_call(tmp_path, place):
    package = tmp_path / place / "learn" / "search.py"
    between = {"__name__": "learn.search", "call": called_by_ours}
    exec(compile("\ndef fit():\n    call()\n", str(package), "exec"), between)  # noqa: S102
    script = tmp_path / "script.py"
    assert told(script, ["", "fit()"], fit=between["fit"]) == [(str(script), 2, "careful")]


ENTRY_POINTS = """
result = search.run_study(space="mlp", study="toy", trials=2, data_dir="nowhere", home=home, **tiny)
result.report(home / "report.html", data_dir="nowhere")
model = result.best_model(data_dir="nowhere")
exported = result.export(home / "model", data_dir="nowhere", formats=["keras"])
search.compare_studies("toy", trials="0,1", latency=True, data_dir="nowhere", home=home)
search.KerasSearchCV(n_trials=1, cv=2, epochs=1).fit(X, y)
cross_val_score(search.KerasSearchCV(n_trials=1, cv=2, epochs=1), X, y, cv=2)
""".strip().splitlines()


def test_a_report_tells_at_the_line_of_the_call(stored, tmp_path, monkeypatch):
    def write_report(*_, notify, **__):
        notify("careful")
        return SimpleNamespace(file=tmp_path)

    monkeypatch.setattr("search.analysis.report.report.write_report", write_report)
    _, result = stored
    cell = tmp_path / "cell.py"
    assert told(cell, ["", "result.report('a.html')"], result=result) == [(str(cell), 2, "careful")]


@pytest.mark.slow
def test_every_entry_point_tells_at_its_own_line_and_prints_nothing(tmp_path, capfd):
    samples = np.repeat(
        np.random.default_rng(0).normal(size=(40, 4)), 2, axis=0
    )  # copies: a notice
    names = {
        "search": search,
        "home": tmp_path,
        "tiny": {**TINY, "epochs": 1},
        "X": samples,
        "y": np.arange(80) // 2 % 2,
        "cross_val_score": cross_val_score,
    }
    found = told(tmp_path / "cell.py", ENTRY_POINTS, **names)
    assert {place for place, _, _ in found} == {str(tmp_path / "cell.py")}
    assert {line for _, line, _ in found} == {1, 3, 4, 5, 6, 7}
    assert capfd.readouterr() == ("", "")  # no progress bars, no logs


class Observer:
    """Takes what a display's function is told, kinds of records and stages."""

    def __init__(self, heard):
        self._heard = heard

    def __call__(self, record):
        self._heard.append(type(record).__name__)

    def stage(self, text):
        self._heard.append(text)


class Listener:
    """A display that hears of all there is, in order."""

    def __init__(self):
        self.heard = []

    @contextmanager
    def opening(self):
        self.heard.append("opening")
        yield
        self.heard.append("opened")

    @contextmanager
    def __call__(self, opened):
        yield Observer(self.heard)
        self.heard.append("over")


@pytest.mark.slow
def test_a_display_hears_of_what_comes_before_and_after_training(tmp_path):
    listener = Listener()
    run_study("mlp", trials=1, home=tmp_path, notify=str, display=listener, **TINY)
    begin = ["opening", "opened", "StudyStarted", "SessionStarted", "loading TensorFlow"]
    assert listener.heard[:6] == [*begin, "TrialStarted"]
    assert listener.heard[-3:] == ["SessionEnded", "bringing the last records to MLflow", "over"]


@pytest.mark.slow
def test_params_of_ones_own_that_do_not_fit_are_refused_while_the_display_opens(tmp_path):
    listener = Listener()
    with pytest.raises(SettingsError, match="no_such"):
        run_study("mlp", home=tmp_path, display=listener, enqueue={"no_such": 1}, **TINY)
    assert listener.heard == ["opening"]  # what it showed can be removed


@pytest.mark.slow
def test_a_script_needs_no_guard_for_its_workers(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from search import run_study\n"
        "print('begun')\n"
        f"result = run_study(space='mlp', study='toy', trials=2, workers=2, **{TINY!r})\n"
        "print(result)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "begun"
    assert done.stdout.count("begun") == 1
    assert "<study 'toy': 2 of 2 trials done" in done.stdout


def test_the_environment_names_the_folder_of_datasets_as_on_the_command_line(tmp_path, monkeypatch):
    monkeypatch.delenv("FOLDWISE_DATA_DIR", raising=False)
    monkeypatch.setenv("SEARCH_DATA_DIR", str(tmp_path / "old"))
    assert data_folder(None) == tmp_path / "old"
    monkeypatch.setenv("FOLDWISE_DATA_DIR", str(tmp_path / "new"))
    assert data_folder(None) == tmp_path / "new"
    assert data_folder(str(tmp_path)) == tmp_path
