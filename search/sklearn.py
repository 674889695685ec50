"""`KerasSearchCV` and `KerasSearchRegressorCV`: a search as an estimator of scikit-learn's."""

import inspect
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from search.api import (
    StudyResult,
    run_opened,
    space_reference,
    while_opening,
)
from search.data import Dataset, Reading
from search.data.duplicates import copies_in
from search.data.formats.frames import is_frame, new_rows
from search.data.formats.memory import Given
from search.data.formats.npz import Samples, samples_of
from search.data.sources import bring
from search.data.targets import FEW
from search.errors import FoldwiseError
from search.notices import warnings_at_caller
from search.study.opening import open_study
from search.tasks import CLASSIFICATION, REGRESSION, Classification, Regression, Scored, Task
from search.tasks.estimators import decisions
from search.tasks.metrics import (
    UnfitMetricError,
    objective_of,
    of_own_classes,
    scorer_of,
    takes_weights,
)
from search.tracker import Tracker, Untracked
from tracking import html
from tracking.history import History, TrialHistory
from tracking.home import Home
from tracking.text import Notify, listed

Array = NDArray[Any]
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


class Trained(BaseEstimator):  # type: ignore[misc] # has no types
    """A trained Keras model as an estimator of scikit-learn's; it cannot be trained again.

    Attributes:
        model: the Keras model.
        labels: the meaning of its inputs and outputs.
        form: how samples are passed.
    """

    def __init__(self, model: Any, labels: Any, form: Form) -> None:
        self.model = model
        self.labels = labels
        self.form = form
        self._program: Any = None

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:  # noqa: N803 # scikit-learn's name
        names = listed(getattr(self, "classes", self.labels.task.names))
        return f"<{type(self).__name__} of a Keras model {self.model.name!r}: {names}>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Return no more than `repr`: scikit-learn would show all labels and samples."""
        return {"text/plain": repr(self), "text/html": html.block(repr(self))}

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def values(self, X: Any) -> Array:  # noqa: N803
        """Return the model's values, `(n, units)`: one for each class, or the numbers."""
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


class TrainedClassifier(ClassifierMixin, Trained):  # type: ignore[misc]
    """A trained model that predicts classes.

    Attributes:
        classes: what `predict` returns, by class number.
    """

    def __init__(self, model: Any, labels: Any, form: Form, classes: Array) -> None:
        super().__init__(model, labels, form)
        self.classes = classes

    @property
    def classes_(self) -> Array:
        """The classes, as they were passed to `fit`."""
        return self.classes

    def predict(self, X: Any) -> Array:  # noqa: N803 # scikit-learn's name
        """Return the class of each sample, `(n,)`."""
        decided = self.labels.outputs.decided(self.values(X))
        chosen: Array = self.classes[decided.argmax(axis=1)]
        return chosen

    @available_if(lambda self: self.has_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Array:  # noqa: N803
        """Return each class's probability, `(n, classes)`."""
        found = self.values(X).astype(np.float64)
        rows: Array = found / found.sum(axis=1, keepdims=True)
        return rows

    @available_if(lambda self: not self.has_probabilities)  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> Array:  # noqa: N803
        """Return each class's score, `(n, classes)`, or of two classes the second's, `(n,)`."""
        return decisions(self.values(X))

    @property
    def has_probabilities(self) -> bool:
        """Whether the model's outputs are probabilities, and not scores such as a hinge's."""
        return bool(self.labels.returns != "scores")


class TrainedRegressor(RegressorMixin, Trained):  # type: ignore[misc]
    """A trained model that predicts numbers.

    Attributes:
        is_flat: whether it was fitted to one number a sample, `(n,)`.
    """

    def __init__(self, model: Any, labels: Any, form: Form, is_flat: bool) -> None:
        super().__init__(model, labels, form)
        self.is_flat = is_flat

    def predict(self, X: Any) -> Array:  # noqa: N803
        """Return the numbers of each sample, `(n,)` or `(n, numbers)`."""
        found = self.values(X).astype(np.float64)
        return found[:, 0] if self.is_flat else found


class KerasSearch(BaseEstimator):  # type: ignore[misc]
    """What searches for classifiers and for regressors have in common.

    No sample is set aside for a test: whoever wants an unbiased score passes this estimator to
    `cross_val_score`, or keeps samples back. Trials that are pruned see some folds only; their
    scores in `cv_results_` are NaN.

    Args:
        space: name of a space, a `Space`, a `keras_tuner.HyperModel` or a function `build(hp)`.
        n_trials: number of trials, baselines included.
        cv: number of stratified folds, a splitter, or (training, validation) index pairs; the folds
            are exactly these, also where samples are equal, of which a notice tells.
        scoring: name of a metric that `--objective` takes: a scorer of scikit-learn's such as
            `roc_auc`, of the classes as `y` has them; one of a class (`recall@setosa`), a metric of
            Keras's, or `FILE.py:FUNCTION`; None for accuracy, or for R^2 of numbers.
        refit: train the best trial's model on all samples.
        epochs: of each fold; None for the space's own, else 10.
        n_jobs: number of worker processes, -1 for as many as pay; None trains in this process.
        random_state: seed of proposals, initial weights and orders.
        settings: further settings of `run_study` by name, such as `{"pruner": "none"}`.
        home: folder that keeps the study and shows it in MLflow; with it, fitting to the same data
            again continues the study. None uses a temporary one that is deleted after `fit`,
            whatever FOLDWISE_HOME says, since an estimator is cloned and fitted many times over,
            also in parallel, and must then neither leave files nor find those of another fit.
        study: its name in the home; None for the default.
        verbose: whether progress is shown.

    Attributes:
        best_params_: the best trial's values of the parameters that are searched.
        best_score_: its mean score over all folds; the larger the better, whatever `scoring`.
        best_index_: its row in `cv_results_`. Where baselines are searched it is not always the one
            of rank 1: a baseline is the best until another trial beats it by more than luck, and
            `study_.verdict` says so.
        cv_results_: for each trial `params`, `splitK_test_score`, `mean_test_score`,
            `std_test_score`, `rank_test_score`, `mean_fit_time` and `std_fit_time` (seconds),
            `state`, and `param_NAME`.
        best_estimator_: the model that was trained on all samples.
        n_splits_: number of folds.
        n_features_in_: number of features of samples of two or more dimensions.
        feature_names_in_: their names, if they are a frame.
        study_: all that was recorded, as `run_study` returns it.
    """

    task: ClassVar[str]
    scorer: ClassVar[str]  # where none is named
    _form_of_targets: ClassVar[dict[str, bool]] = {}

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
    ) -> Self:
        """Search, and train the best trial's model on all samples.

        Args:
            X: (n, features) numbers or a frame, (n, height, width[, channels]) images, or (n,)
                texts.
            y: (n,), classes of any kind; for a regressor (n,) or (n, numbers).
            groups: (n,), for the splitter; and samples of one group are never on both sides.
            sample_weight: (n,).

        Raises:
            ValueError: data or settings that cannot be used, or no trial was completed.
        """
        self._check_scoring()
        tell = warnings_at_caller()
        X, y = self._checked(X, y)  # noqa: N806
        targets, task = self._learned(y)
        text, measure = self._objective(task)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, y, ensure_non_negative=True)
        splitter = check_cv(self.cv, y, classifier=self.task == CLASSIFICATION)
        pairs = list(splitter.split(np.zeros(len(y)) if is_frame(X) else X, y, groups))
        named = {"epochs": self.epochs, "study": self.study}
        asked = {
            "allow_duplicates": True,  # the folds are those of `cv`
            **(self.settings or {}),
            "trials": self.n_trials,
            "objective": text,
            "seed": self._seed(),
            **self._computed(),
            **{name: value for name, value in named.items() if value is not None},
        }
        reading = Reading(task=_said(task))
        with self._home() as (home, tracker):
            try:
                asked["space"] = space_reference(self.space, tell)
                display = self._display()
                with while_opening(display):
                    given = Given.of((X, targets), groups=groups, weights=sample_weight, test=False)
                    dataset = bring(given, home=home.root, reading=reading, notify=tell)
                    if asked["allow_duplicates"]:
                        _tell_of_copies(dataset, tell)
                    opened = open_study(
                        {**asked, **reading.given, "dataset": dataset.name},
                        home=home,
                        data_dir=None,
                        notify=tell,
                        splitter=pairs,
                    )
                self.study_ = run_opened(opened, tracker, tell, display)
            except FoldwiseError as error:
                raise ValueError(str(error)) from error
            if self.study_.reason in ("interrupted", "stopped"):
                raise KeyboardInterrupt
            self.n_splits_ = len(pairs)
            self._take_results(self.study_.history, measure)
            if self.refit:
                trial = list(self._trials(self.study_.history))[self.best_index_]
                form = Form.of(X, dataset, reading)
                self.best_estimator_ = self._trained(
                    *_refitted(opened, self.study_, trial, home), form, y
                )
        return self

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:  # noqa: N803
        """Return the score of new samples by `scoring`; larger is better, as in `best_score_`."""
        from sklearn.metrics import get_scorer

        name, best = self.scoring or self.scorer, self._best()
        scorer = scorer_of(name)
        if scorer:
            is_taken = sample_weight is not None and takes_weights(scorer, best.labels.task.units)
            more = {"sample_weight": sample_weight} if is_taken else {}
            return float(get_scorer(scorer)(self, X, y, **more))
        samples = self._checked_new(X)
        targets, task = self._known(np.asarray(y))
        objective, metric = objective_of(self._metric(name, task), task)
        if metric is None:
            raise ValueError(f"`score` cannot compute {name}, which the models measure themselves")
        sure = best.labels.returns != "scores"
        values = best.values(samples)
        decided = best.labels.outputs.decided(values)
        scored = Scored(values, targets, sample_weight, sure, decided)
        return objective.oriented(scored.by(metric))

    def predict(self, X: Any) -> Array:  # noqa: N803
        """Return what is predicted for each sample, as `y` was passed."""
        found: Array = self._best().predict(self._checked_new(X))
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    def _learned(self, y: Array) -> tuple[Array, Task]:
        """Return the targets of `fit` as the data take them, and their task."""
        raise NotImplementedError

    def _known(self, y: Array) -> tuple[Array, Task]:
        """Return other targets as metrics take them, and the task that was learned."""
        raise NotImplementedError

    def _trained(self, model: Any, labels: Any, form: Form, y: Array) -> Trained:
        """Return a trained model as an estimator."""
        raise NotImplementedError

    def _seed(self) -> int:
        given = self.random_state
        if isinstance(given, int | np.integer):
            return int(given)
        return int(check_random_state(given).randint(2**31))

    def _check_scoring(self) -> None:
        name: Any = self.scoring
        if name is not None and not isinstance(name, str):
            kind = "a function" if callable(name) else f"a {type(name).__name__}"
            raise ValueError(
                f"`scoring` must be the name of one metric; got {kind}. Workers compute it from"
                " predictions and record it by its name: a function f(y_true, y_pred) can be named"
                " as scoring='FILE.py:FUNCTION'."
            )

    def _metric(self, name: str, task: Task) -> str:
        """Return the name of the metric of what a study learns that a metric of `y` is.

        Raises:
            UnfitMetricError: there is none.
        """
        return name

    def _objective(self, task: Task) -> tuple[str, str]:
        """Return the study's objective, and which metric of a fold is its score."""
        name = self.scoring or self.scorer
        try:
            text = self._metric(name, task)
            objective, _ = objective_of(text, task)
        except FoldwiseError as error:
            raise ValueError(f"`scoring`: {error}") from error
        if not objective.fold:
            raise ValueError(f"`scoring` must name a metric of predictions; got {name!r}")
        return text, objective.fold

    def _checked(self, X: Any, y: Any) -> tuple[Any, Array]:  # noqa: N803
        """Check training samples and labels as scikit-learn does."""
        if y is None:
            raise ValueError(
                f"requires y to be passed, but the target y is None: {type(self).__name__} learns"
                " from it"
            )
        if _is_texts(X):
            labels = self._target_array(y)
            if len(X) != len(labels):
                raise ValueError(
                    f"X and y must have one length; got {len(X)} samples and {len(labels)} labels"
                )
            return np.asarray(X, object), labels
        if _has_words(X):
            validate_data(self, X, skip_check_array=True)
            return X, self._target_array(y)
        samples, labels = validate_data(
            self, X, y, allow_nd=True, dtype="numeric", **self._form_of_targets
        )
        return samples, labels

    def _target_array(self, y: Any) -> Array:
        found: Array = column_or_1d(y, warn=True)
        return found

    def _checked_new(self, X: Any) -> Any:  # noqa: N803
        if _is_texts(X):
            return np.asarray(X, object)
        if _has_words(X):
            validate_data(self, X, reset=False, skip_check_array=True)
            return X
        return validate_data(self, X, reset=False, allow_nd=True, dtype="numeric")

    def _best(self) -> Any:
        check_is_fitted(self, "cv_results_")
        if not hasattr(self, "best_estimator_"):
            raise NotFittedError("this search was made with refit=False and has no model")
        return self.best_estimator_

    def _computed(self) -> dict[str, Any]:
        if self.n_jobs is None:
            return {"executor": "inline"}
        return {"executor": "local", "workers": "auto" if self.n_jobs == -1 else self.n_jobs}

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

    def _take_results(self, history: History, measure: str) -> None:
        trials, objective = list(self._trials(history)), history.objectives[0]
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
                value = ended.metric(measure)
                scores[row, fold - 1] = np.nan if value is None else objective.oriented(value)
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
        best, first = history.best(), int(np.flatnonzero(ranks == 1)[0])
        is_known = best is not None and known[trials.index(best)] > -np.inf
        self.best_index_ = trials.index(best) if best and is_known else first
        self.best_params_ = params[self.best_index_]
        self.best_score_ = float(means[self.best_index_])


class KerasSearchCV(ClassifierMixin, KerasSearch):  # type: ignore[misc]
    """Search a Keras classifier's hyperparameters with cross-validation.

    Attributes:
        classes_: the classes, sorted; the others, and the arguments, are these:
    """

    task, scorer = CLASSIFICATION, "accuracy"
    score = KerasSearch.score  # not the mixin's

    @available_if(lambda self: self._has_probabilities())  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Array:  # noqa: N803
        """Return each class's probability, `(n, classes)`, in the order of `classes_`."""
        found: Array = self._best().predict_proba(self._checked_new(X))
        return found

    @available_if(lambda self: self._has_scores())  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> Array:  # noqa: N803
        """Return each class's score, `(n, classes)`, or of two classes the second's, `(n,)`."""
        found: Array = self._best().decision_function(self._checked_new(X))
        return found

    def _has_scores(self) -> bool:
        return hasattr(getattr(self, "best_estimator_", None), "decision_function")

    def _has_probabilities(self) -> bool:
        best = getattr(self, "best_estimator_", None)
        if best is not None and not best.has_probabilities:
            raise AttributeError("the model's outputs are scores, not probabilities")
        return True

    def _learned(self, y: Array) -> tuple[Array, Task]:
        if type_of_target(y).startswith("continuous"):
            raise ValueError(
                "Unknown label type: continuous. KerasSearchCV predicts classes;"
                " KerasSearchRegressorCV predicts numbers"
            )
        check_classification_targets(y)
        classes, numbers = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"KerasSearchCV needs samples of at least 2 classes; got {len(classes)} class"
            )
        self.classes_ = classes
        return numbers, Classification(tuple(map(str, range(len(classes)))))

    def _metric(self, name: str, task: Task) -> str:
        scorer = scorer_of(name)
        if scorer:
            way, sign, _ = name.rpartition(":")
            return f"{way}{sign}{of_own_classes(scorer, task, self.classes_)}"
        metric, _, named = name.partition("@")
        if not named or ".py:" in name:
            return name
        shown = [str(one) for one in self.classes_]
        if named not in shown:
            raise UnfitMetricError(f"{name} must name one of the classes of y: {listed(shown)}")
        return f"{metric}@{shown.index(named)}"

    def _known(self, y: Array) -> tuple[Array, Task]:
        places = np.searchsorted(self.classes_, y).clip(0, len(self.classes_) - 1)
        if (self.classes_[places] != y).any():
            raise ValueError("y must hold classes that were seen in `fit`")
        return places, Classification(tuple(map(str, range(len(self.classes_)))))

    def _trained(self, model: Any, labels: Any, form: Form, y: Array) -> Trained:
        return TrainedClassifier(model, labels, form, self.classes_)


class KerasSearchRegressorCV(RegressorMixin, KerasSearch):  # type: ignore[misc]
    """Search a Keras regressor's hyperparameters with cross-validation.

    Attributes:
        n_outputs_: how many numbers are predicted of a sample; the others, and the arguments, are
            these:
    """

    task, scorer = REGRESSION, "r2"
    score = KerasSearch.score  # not the mixin's
    _form_of_targets: ClassVar[dict[str, bool]] = {"multi_output": True, "y_numeric": True}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _target_array(self, y: Any) -> Array:
        found: Array = check_array(y, ensure_2d=False, dtype="numeric", input_name="y")
        return found

    def _learned(self, y: Array) -> tuple[Array, Task]:
        self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]
        return self._known(y)[0], Regression(_numbers(self.n_outputs_))

    def _known(self, y: Array) -> tuple[Array, Task]:
        return y.astype(np.float64).reshape(len(y), -1), Regression(_numbers(self.n_outputs_))

    def _trained(self, model: Any, labels: Any, form: Form, y: Array) -> Trained:
        return TrainedRegressor(model, labels, form, y.ndim == 1)


for _kind in (KerasSearchCV, KerasSearchRegressorCV):
    _kind.__doc__ = f"{inspect.getdoc(_kind)}\n\n{inspect.getdoc(KerasSearch)}"


def _numbers(count: int) -> tuple[str, ...]:
    return ("y",) if count == 1 else tuple(f"y{at}" for at in range(1, count + 1))


def _said(task: Task) -> str | None:
    """Return the task that data are read for; None for classes that are found to be such."""
    return None if task.name == CLASSIFICATION and task.units <= FEW else task.name


def _refitted(opened: Any, study: StudyResult, trial: TrialHistory, home: Home) -> tuple[Any, Any]:
    """Train a trial's model on all samples; return it, and the meaning of inputs and outputs."""
    from search.export.members import refit
    from search.export.refit import Final
    from search.quiet import load_tensorflow

    load_tensorflow()
    final = Final.of(study.history, trial, opened.dataset, opened.folds, home=home)
    made = refit([final], lambda *_: None)
    return made.model, made.labels


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


def _tell_of_copies(dataset: Dataset, tell: Notify) -> None:
    copies = copies_in(dataset).surplus
    if copies:
        tell(
            f"{copies:,} of {len(dataset.train_labels):,} samples are copies of others and may be"
            " on both sides of the folds that `cv` cuts, whose scores are too good then;"
            " settings={'allow_duplicates': False} keeps them together"
        )
