"""`KerasSearchCV`: a search as an estimator of scikit-learn's."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from search.api import StudyResult, run_opened, space_reference
from search.data import Dataset, Reading
from search.data.duplicates import copies_in
from search.data.formats.frames import is_frame, new_rows
from search.data.formats.memory import Given
from search.data.formats.npz import Samples, samples_of
from search.data.sources import bring
from search.errors import FoldwiseError, near_matches
from search.study.opening import open_study
from search.tracker import Tracker, Untracked
from tracking.history import History, TrialHistory
from tracking.home import Home

# The names of scikit-learn's scorers: our objective, what of a fold, and its sign.
SCORERS = {
    "accuracy": ("cv_accuracy", "accuracy", 1.0),
    "neg_log_loss": ("cv_loss", "loss", -1.0),
    "f1_macro": ("macro_f1", "macro_f1", 1.0),
}

Array = NDArray[Any]
_ROUTINE = ("Getting ", "Building models of ")  # notices that only say what takes time
_BLOCK = 256  # samples that are predicted at once, always as many: so rows do not depend on others
_declarations: list[tempfile.TemporaryDirectory[str]] = []  # of temporary homes, for this process


@dataclass(frozen=True)
class Form:
    """How the samples came, so that new ones are taken alike.

    Attributes:
        like: training samples of an array, a few; None: they are a frame, or texts.
        dataset: what they became.
        reading: how a frame was read.
    """

    like: Samples | None
    columns: tuple[Any, ...]
    reading: Reading

    @classmethod
    def of(cls, X: Any, dataset: Dataset, reading: Reading) -> "Form":  # noqa: N803
        """Return the form of training samples."""
        like = None
        if not is_frame(X) and dataset.kind != "text":
            found = samples_of(np.asarray(X), "X", kind=reading.kind)
            found = found.fitted(np.arange(len(found.array)))
            like = replace(found, array=found.array[:1], survey=None)
        return cls(like, dataset.columns, reading)

    def samples(self, X: Any) -> Any:  # noqa: N803
        """Return new samples as the dataset stores them."""
        if self.like is not None:
            found = samples_of(np.asarray(X), "X", self.like)
            return found.take(np.arange(len(found.array)))
        if self.columns:
            return new_rows(X, self.columns, self.reading).values
        return [str(text) for text in X]


class TrainedClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # has no types
    """A trained Keras model as a classifier of scikit-learn's; it cannot be trained again.

    Attributes:
        model: the Keras model.
        labels: the meaning of its inputs and outputs.
        form: how samples are passed.
        classes_: what `predict` returns, by class number.
    """

    def __init__(self, model: Any, labels: Any, form: Form, classes: Array) -> None:
        self.model = model
        self.labels = labels
        self.form = form
        self.classes = classes
        self._program: Any = None

    @property
    def classes_(self) -> Array:
        """The classes, as they were passed to `fit`."""
        return self.classes

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, X: Any) -> Array:  # noqa: N803 # scikit-learn's name
        """Return the class of each sample, `(n,)`."""
        chosen: Array = self.classes[self.values(X).argmax(axis=1)]
        return chosen

    @available_if(lambda self: self.has_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Array:  # noqa: N803
        """Return each class's probability, `(n, classes)`."""
        found = self.values(X).astype(np.float64)
        rows: Array = found / found.sum(axis=1, keepdims=True)
        return rows

    @property
    def has_probabilities(self) -> bool:
        """Whether the model's outputs are probabilities, and not scores such as a hinge's."""
        return bool(self.labels.returns != "scores")

    def values(self, X: Any) -> Array:  # noqa: N803
        """Return a value for each class, `(n, classes)`, the largest for the most likely."""
        encoded = self.labels.encoder.encode(self.form.samples(X))
        found = []
        for start in range(0, len(encoded), _BLOCK):
            block = encoded[start : start + _BLOCK]
            missing = _BLOCK - len(block)
            whole = np.concatenate([block, np.repeat(block[-1:], missing, axis=0)])
            found.append(self._of_block(whole)[: len(block)])
        return np.concatenate(found)

    def _of_block(self, block: Array) -> Array:
        from search.training.program import Program

        if self._program is None:
            self._program = Program(self.model, block)
        values: Array = self.labels.outputs.values(self._program.outputs(block))
        return values

    def __getstate__(self) -> dict[str, Any]:
        from search.export.formats.keras_archive import write_archive

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.keras"
            write_archive(self.model, path)
            return {**super().__getstate__(), "model": path.read_bytes(), "_program": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        import keras

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.keras"
            path.write_bytes(state["model"])
            super().__setstate__({**state, "model": keras.saving.load_model(path, compile=False)})


class KerasSearchCV(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # has no types
    """Search a Keras model's hyperparameters with cross-validation, as scikit-learn's searches do.

    No sample is set aside for a test: whoever wants an unbiased score passes this estimator to
    `cross_val_score`, or keeps samples back. Trials that are pruned see some folds only; their
    scores in `cv_results_` are NaN.

    Args:
        space: name of a space, a `Space`, a `keras_tuner.HyperModel` or a function `build(hp)`.
        n_trials: number of trials, baselines included.
        cv: number of stratified folds, a splitter, or (training, validation) index pairs; the folds
            are exactly these, also where samples are equal, of which a notice tells.
        scoring: accuracy (also None), neg_log_loss or f1_macro.
        refit: train the best trial's model on all samples.
        epochs: of each fold; None for the space's own, else 10.
        n_jobs: number of worker processes, -1 for as many as pay; None trains in this process.
        random_state: seed of proposals, initial weights and orders.
        settings: further settings of `run_study` by name, such as `{"pruner": "none"}`.
        home: folder that keeps the study and shows it in MLflow; with it, fitting to the same data
            again continues the study. None uses a temporary one that is deleted after `fit`, since
            an estimator is cloned and fitted many times over, also in parallel, and must then
            neither leave files nor find those of another fit.
        study: its name in the home; None for the default.
        verbose: whether progress is shown.

    Attributes:
        best_params_: the best trial's values of the parameters that are searched.
        best_score_: its mean score over all folds; the larger the better, whatever `scoring`.
        best_index_: its row in `cv_results_`.
        cv_results_: for each trial `params`, `splitK_test_score`, `mean_test_score`,
            `std_test_score`, `rank_test_score`, `mean_fit_time` and `std_fit_time` (seconds),
            `state`, and `param_NAME`.
        best_estimator_: the model that was trained on all samples.
        n_splits_: number of folds.
        classes_: the classes, sorted.
        n_features_in_: number of features of samples of two or more dimensions.
        feature_names_in_: their names, if they are a frame.
        study_: all that was recorded, as `run_study` returns it.
    """

    def __init__(
        self,
        space: Any = "mlp",
        *,
        n_trials: int = 20,
        cv: Any = 5,
        scoring: str | None = None,
        refit: bool = True,
        epochs: int | None = None,
        n_jobs: int | None = None,
        random_state: Any = 0,
        settings: dict[str, Any] | None = None,
        home: Any = None,
        study: str | None = None,
        verbose: int = 0,
    ) -> None:
        self.space = space
        self.n_trials = n_trials
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.epochs = epochs
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.settings = settings
        self.home = home
        self.study = study
        self.verbose = verbose

    def fit(
        self,
        X: Any,  # noqa: N803 # scikit-learn's name
        y: Any,
        *,
        groups: Any = None,
        sample_weight: Any = None,
    ) -> "KerasSearchCV":
        """Search, and train the best trial's model on all samples.

        Args:
            X: (n, features) numbers or a frame, (n, height, width[, channels]) images, or (n,)
                texts.
            y: (n,), classes of any kind.
            groups: (n,), for the splitter; and samples of one group are never on both sides.
            sample_weight: (n,).

        Raises:
            ValueError: data or settings that cannot be used, or no trial was completed.
        """
        objective, measure, sign = self._scorer()
        X, y = self._checked(X, y)  # noqa: N806
        check_classification_targets(y)
        classes, numbers = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"KerasSearchCV needs samples of at least 2 classes; got {len(classes)} class"
            )
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, y, ensure_non_negative=True)
        splitter = check_cv(self.cv, y, classifier=True)
        pairs = list(splitter.split(np.zeros(len(y)) if is_frame(X) else X, y, groups))
        named = {"epochs": self.epochs, "study": self.study}
        asked = {
            "allow_duplicates": True,  # the folds are those of `cv`
            **(self.settings or {}),
            "trials": self.n_trials,
            "objective": objective,
            "seed": self._seed(),
            **self._computed(),
            **{name: value for name, value in named.items() if value is not None},
        }
        reading = Reading()
        with self._home() as (home, tracker):
            try:
                asked["space"] = space_reference(self.space, _tell)
                given = Given.of((X, numbers), groups=groups, weights=sample_weight, test=False)
                dataset = bring(given, home=home.root, reading=reading, notify=_tell)
                if asked["allow_duplicates"]:
                    _tell_of_copies(dataset)
                opened = open_study(
                    {**asked, "dataset": dataset.name},
                    home=home,
                    data_dir=None,
                    notify=_tell,
                    splitter=pairs,
                )
                self._load()
                self.study_ = run_opened(opened, tracker, _tell, self._display())
            except FoldwiseError as error:
                raise ValueError(str(error)) from error
            if self.study_.reason == "interrupted":
                raise KeyboardInterrupt
            self.n_splits_ = len(pairs)
            self._take_results(self.study_.history, measure, sign)
            self.classes_ = classes
            if self.refit:
                trial = list(self._trials(self.study_.history))[self.best_index_]
                form = Form.of(X, dataset, reading)
                self.best_estimator_ = _refitted(opened, self.study_, trial, form, classes, home)
        return self

    def predict(self, X: Any) -> Array:  # noqa: N803
        """Return the class of each sample, `(n,)`."""
        return self._best().predict(self._checked_new(X))

    @available_if(lambda self: self._has_probabilities())  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Array:  # noqa: N803
        """Return each class's probability, `(n, classes)`, in the order of `classes_`."""
        found: Array = self._best().predict_proba(self._checked_new(X))
        return found

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:  # noqa: N803
        """Return the score of new samples by `scoring`; larger is better."""
        from sklearn.metrics import get_scorer

        scorer = get_scorer(self.scoring or "accuracy")
        more = {} if sample_weight is None else {"sample_weight": sample_weight}
        return float(scorer(self, X, y, **more))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    def _seed(self) -> int:
        given = self.random_state
        if isinstance(given, int | np.integer):
            return int(given)
        return int(check_random_state(given).randint(2**31))

    def _scorer(self) -> tuple[str, str, float]:
        name = self.scoring or "accuracy"
        if not isinstance(name, str) or name not in SCORERS:
            shown = near_matches(name, SCORERS) if isinstance(name, str) else ""
            raise ValueError(
                f"`scoring` must be one of {', '.join(SCORERS)}; got {name!r}."
                + (f" {shown.capitalize()}" if shown.startswith("did") else "")
            )
        return SCORERS[name]

    def _checked(self, X: Any, y: Any) -> tuple[Any, Array]:  # noqa: N803
        """Check training samples and labels as scikit-learn does."""
        if y is None:
            raise ValueError(
                "requires y to be passed, but the target y is None: KerasSearchCV is a classifier"
            )
        if _is_texts(X):
            labels = column_or_1d(y, warn=True)
            if len(X) != len(labels):
                raise ValueError(
                    f"X and y must have one length; got {len(X)} samples and {len(labels)} labels"
                )
            return np.asarray(X, object), labels
        if _has_words(X):
            validate_data(self, X, skip_check_array=True)
            return X, column_or_1d(y, warn=True)
        samples, labels = validate_data(self, X, y, allow_nd=True, dtype="numeric")
        return samples, labels

    def _checked_new(self, X: Any) -> Any:  # noqa: N803
        if _is_texts(X):
            return np.asarray(X, object)
        if _has_words(X):
            validate_data(self, X, reset=False, skip_check_array=True)
            return X
        return validate_data(self, X, reset=False, allow_nd=True, dtype="numeric")

    def _best(self) -> TrainedClassifier:
        check_is_fitted(self, "classes_")
        if not hasattr(self, "best_estimator_"):
            raise NotFittedError("this search was made with refit=False and has no model")
        return self.best_estimator_

    def _has_probabilities(self) -> bool:
        best = getattr(self, "best_estimator_", None)
        if best is not None and not best.has_probabilities:
            raise AttributeError("the model's outputs are scores, not probabilities")
        return True

    def _computed(self) -> dict[str, Any]:
        if self.n_jobs is None:
            return {"executor": "inline"}
        return {"executor": "local", "workers": "auto" if self.n_jobs == -1 else self.n_jobs}

    def _load(self) -> None:
        """Load what trains in this process, without its messages."""
        if self.n_jobs is None:
            from search.quiet import load_tensorflow

            load_tensorflow()

    def _display(self) -> Any:
        if not self.verbose:
            return None
        return import_module("search").progress

    @contextmanager
    def _home(self) -> Iterator[tuple[Home, Tracker]]:
        """Yield the home and what brings its study to MLflow."""
        if self.home is not None:
            home = Home(Path(self.home))
            yield home, Tracker(home)
            return
        if not _declarations:  # so that a function is looked at once, not at every fit
            _declarations.append(tempfile.TemporaryDirectory(prefix="foldwise-"))
        with tempfile.TemporaryDirectory(prefix="foldwise-") as folder:
            home = Home(Path(folder))
            home.declarations.symlink_to(_declarations[0].name)
            yield home, Untracked(home)

    @staticmethod
    def _trials(history: History) -> Iterator[TrialHistory]:
        yield from (trial for _, trial in sorted(history.trials.items()))

    def _take_results(self, history: History, measure: str, sign: float) -> None:
        trials = list(self._trials(history))
        searched = [
            entry["name"] for entry in history.known_study().parameters if entry["searched"]
        ]
        params = [
            {name: trial.params[name] for name in searched if name in trial.params}
            for trial in trials
        ]
        scores = np.full((len(trials), self.n_splits_), np.nan)
        times = np.full_like(scores, np.nan)
        for row, trial in enumerate(trials):
            for fold, ended in trial.finished_folds().items():
                scores[row, fold - 1] = sign * getattr(ended, measure)
                times[row, fold - 1] = ended.seconds
        means = scores.mean(axis=1) if len(trials) else np.empty(0)
        if np.isnan(means).all():
            failed = next((trial.ended.reason for trial in trials if trial.ended), "none was run")
            raise ValueError(f"no trial of the search saw all folds: {failed}")
        known = np.where(np.isnan(means), -np.inf, means)
        ranks = 1 + (known[:, None] < known).sum(axis=1)
        self.cv_results_ = {
            **{f"split{fold}_test_score": scores[:, fold] for fold in range(self.n_splits_)},
            "mean_test_score": means,
            "std_test_score": scores.std(axis=1),
            "rank_test_score": ranks.astype(np.int32),
            "mean_fit_time": _over_seen(times, np.mean),
            "std_fit_time": _over_seen(times, np.std),
            "params": params,
            "state": np.array([trial.ended.state if trial.ended else "" for trial in trials]),
            **{f"param_{name}": _masked(params, name) for name in searched},
        }
        self.best_index_ = int(np.flatnonzero(ranks == 1)[0])
        self.best_params_ = params[self.best_index_]
        self.best_score_ = float(means[self.best_index_])


def _refitted(
    opened: Any, study: StudyResult, trial: TrialHistory, form: Form, classes: Array, home: Home
) -> TrainedClassifier:
    """Train a trial's model on all samples."""
    from search.export.refit import Final, refit
    from search.quiet import load_tensorflow

    load_tensorflow()
    final = Final.of(study.history, trial, opened.dataset, opened.folds, home=home)
    made = refit(final, lambda *_: None)
    return TrainedClassifier(made.model, made.labels, form, classes)


def _is_texts(X: Any) -> bool:  # noqa: N803
    if is_frame(X) or (hasattr(X, "iloc") and getattr(X, "dtype", None) not in (object, str)):
        return False
    if not hasattr(X, "__len__") or not len(X) or np.ndim(X) != 1:
        return False
    return all(isinstance(one, str) for one in X)


def _has_words(X: Any) -> bool:  # noqa: N803
    """Return whether a frame has columns that are no numbers, or gaps."""
    if not is_frame(X) or not hasattr(X, "dtypes"):
        return False
    kinds = [getattr(kind, "kind", "O") for kind in X.dtypes]
    return any(kind not in "biuf" for kind in kinds) or bool(np.asarray(X.isna()).any())


def _masked(params: list[dict[str, Any]], name: str) -> Any:
    """Return a parameter's values; masked where the trial does not have it."""
    values: Any = np.ma.array(np.empty(len(params), object), mask=True)
    for row, one in enumerate(params):
        if name in one:
            values[row] = one[name]
    return values


def _over_seen(times: Array, mean: Callable[[Array], float]) -> Array:
    """Return a statistic of each row's numbers; NaN for a row without any."""
    seen = [row[~np.isnan(row)] for row in times]
    return np.array([mean(row) if len(row) else np.nan for row in seen])


def _tell_of_copies(dataset: Dataset) -> None:
    copies = copies_in(dataset).surplus
    if copies:
        _tell(
            f"{copies:,} of {len(dataset.train_labels):,} samples are copies of others and may be"
            " on both sides of the folds that `cv` cuts, whose scores are too good then;"
            " settings={'allow_duplicates': False} keeps them together"
        )


def _tell(text: str) -> None:
    from search.api import warn

    if not text.startswith(_ROUTINE):
        warn(text)
