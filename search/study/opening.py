"""Open a study: from a user's settings to settings, space, data and folds that fit together."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from search.data import Dataset, DatasetNotFound, Reading, load
from search.data.folds import Folds
from search.data.inputs import data_spec, space_on
from search.data.reading import began_with
from search.data.splits import SPLITTER
from search.errors import SettingsError
from search.quiet import check_backend, standard_error_to
from search.studies import StudyReader, no_study, study_folder
from search.study.drivers import check_driver
from search.study.execution import AUTO
from search.study.identity import (
    check_code,
    check_kind,
    check_needs,
    check_same,
    first_record,
    study_pixels,
    without_flip,
)
from search.study.learning import Learned, learned_before, learned_by
from search.study.objectives import Goals, check_known, settle, texts_of
from search.study.settings import IDENTITY, StudySettings, validate
from search.study.splitting import Splitting
from search.tasks import task_of
from search.tasks.metrics import OF_METRICS, forget_functions, function_places
from search.tasks.thresholds import check_threshold
from spaces import (
    Fingerprint,
    NarrowedSpace,
    Passed,
    Space,
    SpaceError,
    as_began,
    get_space,
    given_pixels,
    narrow,
    space_fingerprint,
)
from spaces.declaring.fingerprint import fingerprint
from spaces.declaring.importing import PASSED
from tracking.history import History
from tracking.home import Home, StudyFolder, home_of
from tracking.objectives import objectives_of
from tracking.records import StudyStarted
from tracking.text import Notify, unheard

UNKNOWN = ""  # digest of the dataset of a study that may go on
NEW = ". To begin a study of that name, add `--space`."
FALLBACK_DATASET, FALLBACK_KIND = "digits", "image"


@dataclass(frozen=True, repr=False)
class OpenStudy:
    """A study that is ready to run; if it is new, nothing has been written yet.

    Attributes:
        splitting: how the samples were cut into the folds.
        start: the journal's first record, written already or not.
        reader: the study's files, and its journal as far as it was read.
        declarations: folder with the cached declarations of KerasTuner hypermodels.
        is_new: whether the first record must still be written.
        code: fingerprint of the space's code.
        callbacks: the Keras callbacks that were passed from Python; None without.
        accepts_changed_code: whether the code may differ from that of the last session.
        fallback: why another dataset than the space's own is used; empty if it is not.
        learned: from earlier studies.
    """

    settings: StudySettings
    narrowed: NarrowedSpace
    dataset: Dataset
    folds: Folds
    splitting: Splitting
    reader: StudyReader
    declarations: Path
    start: StudyStarted
    is_new: bool
    fallback: str
    learned: Learned
    code: Fingerprint
    accepts_changed_code: bool
    callbacks: Passed | None = None

    def __repr__(self) -> str:
        return f"<study {self.start.study!r}, open: {self.start.space} on {self.dataset.name}>"

    @property
    def folder(self) -> StudyFolder:
        """The study's files."""
        return self.reader.folder

    def confirmation_folds(self) -> Folds:
        """Return the confirmation folds, cut from unused samples as far as possible."""
        return self.splitting.confirmation_folds(self.folds)


def open_study(
    asked: Mapping[str, Any],
    *,
    home: Home,
    data_dir: Path | None,
    notify: Notify,
    accept_changed_code: bool = False,
    splitter: Any = None,
    callbacks: Passed | None = None,
) -> OpenStudy:
    """Open a new or an existing study.

    Settings that are not given are those of the study if it exists, else the defaults.

    Args:
        asked: the settings that the user gave, by name.
        home: the home of studies and datasets.
        data_dir: folder with the user's datasets.
        notify: takes notices for the user.
        accept_changed_code: continue a study even if the space's code has changed.
        splitter: cuts the folds: a scikit-learn splitter, or (training, validation) index pairs;
            None: as the settings say.
        callbacks: Keras callbacks for every fold; None without. They count as the space's code.

    Raises:
        SettingsError: settings that break a rule, or differ from those the study began with; the
            space's code has changed; or Keras computes with another backend than TensorFlow.
        DataError: the dataset is not available, damaged, or cannot be cut into the folds.
    """
    check_backend()
    if "epochs" in asked and "epochs" in asked.get("set", {}):
        raise SettingsError("give the epochs once: `--epochs N`, or `--set epochs=LOW:HIGH`")
    for name in ("epochs", "objective"):  # None is no other wish than none
        asked = {n: value for n, value in asked.items() if n != name or value is not None}
    if splitter is not None:
        if asked.get("split") not in (None, SPLITTER):
            raise SettingsError(
                f"give one way of splitting: `cv` or `split`; got both ({asked['split']})"
            )
        asked = {**asked, "split": SPLITTER}
    settings, reader = _merged(asked, home)
    check_known(settings)
    outline = _space(settings.space, home)
    if outline.parameters_known:
        _narrowed(outline, settings)  # before the dataset is searched for
    began = None if reader is None else reader.history.study
    digest = began.dataset["digest"] if began else None
    heard: list[str] = []
    if reader is None:  # whether the study is new, and is to be told of its data, is not known yet
        digest = UNKNOWN
    dataset, fallback = _dataset(
        settings, outline, home, data_dir, digest, _both(heard.append, notify)
    )
    check_kind(outline, dataset)
    if reader is None:

        def again(settings: StudySettings, digest: str) -> Dataset:
            return _dataset(settings, outline, home, data_dir, digest, unheard)[0]

        name = f"{outline.name}-{dataset.title}"
        settings, reader, dataset = _merged_by_default(
            asked, name, home, dataset, again, splitter, notify
        )
        if reader.history.study is None:
            for text in dataset.notices:
                if text not in heard:
                    notify(text)
    before = reader.history.study
    objective = "" if before is None else _objective_of(before)
    settings, objectives = settle(settings, dataset.task, began=objective)
    check_threshold(settings.threshold, dataset.task)
    pixels = settings.pixels if before is None else study_pixels(before)
    space = _space_on(settings.space, dataset, home, notify, pixels)
    space = space if before is None else _as_began(space, before)
    code = with_callbacks(code_now(settings.space, space, dataset, home), callbacks)
    code = with_metrics(code, texts_of(settings))
    check_code(reader.history, code, accept=accept_changed_code)
    narrowed = _narrowed(space, settings, adapts=before is None or before.adapts_baselines)
    narrowed = without_flip(narrowed, settings.set, dataset, notify)
    check_needs(narrowed.space)
    check_driver(
        settings.driver,
        str(settings.sampler),
        narrowed.space,
        objectives=len(objectives),
        arguments=settings.sampler_args,
    )
    settings = settings.model_copy(update={"dataset": dataset.name})
    splitting = Splitting.of(
        settings,
        asked,
        dataset,
        before=before,
        folder=reader.folder,
        splitter=splitter,
        notify=notify,
    )
    settings, folds = splitting.settings, splitting.folds()
    start = first_record(
        settings,
        narrowed.space,
        dataset,
        folds,
        split=splitting.described(folds),
        objectives=objectives,
    )
    if before is not None:
        check_same(before, start)
        learned = learned_before(reader.folder.learned, before, notify)
    else:
        learned = learned_by(settings, start, narrowed.space, home, notify)
        start = replace(start, learned=learned.described())
    return OpenStudy(
        settings=settings,
        narrowed=narrowed,
        dataset=dataset,
        folds=folds,
        splitting=splitting,
        reader=reader,
        declarations=home.declarations,
        start=before or start,
        is_new=before is None,
        fallback=fallback,
        learned=learned,
        code=code,
        accepts_changed_code=accept_changed_code,
        callbacks=callbacks,
    )


def _both(first: Notify, second: Notify) -> Notify:
    def notify(text: str) -> None:
        first(text)
        second(text)

    return notify


def code_now(reference: str, space: Space, dataset: Dataset, home: Home) -> Fingerprint:
    """Return the fingerprint of a space's code as its files are now.

    Raises:
        SettingsError: the space cannot be found.
    """
    with _hushed(reference):
        return space_fingerprint(reference, data_spec(dataset, space), cache=home.declarations)


def with_callbacks(code: Fingerprint, callbacks: Passed | None) -> Fingerprint:
    """Return a code's fingerprint with that of callbacks, which decide scores as it does."""
    if callbacks is None:
        return code
    return {**code, "files": {**code["files"], **callbacks.code["files"]}}


def with_metrics(code: Fingerprint, texts: Iterable[str]) -> Fingerprint:
    """Return a code's fingerprint with those of the functions among metrics, as they are now.

    Args:
        code: of the space, perhaps with callbacks.
        texts: objectives and metrics, as a study records them.
    """
    forget_functions()  # those that were run may have been others
    files = {
        f"{OF_METRICS}{name}": digests
        for place in function_places(texts)
        for name, digests in fingerprint(place)["files"].items()
    }
    return {**code, "files": {**code["files"], **files}} if files else code


def study_space(history: History, dataset: Dataset, home: Home) -> tuple[StudyStarted, Space]:
    """Return a study's first record and its space for the study's dataset.

    Raises:
        SettingsError: the study is unknown, or its space is not available or has changed.
    """
    study = history.study
    if study is None:
        raise SettingsError("the study has not begun")
    space = _space_on(study.space, dataset, home, unheard, study_pixels(study))
    space = _as_began(space, study)
    if study.pixels and given_pixels(space) != study.pixels:
        raise SettingsError(
            f"the models of space {study.space} now expect {given_pixels(space)} pixels, but study"
            f" {study.study!r} gives them {study.pixels} ones; restore the code it began with"
        )
    known = {parameter["name"] for parameter in study.parameters}
    if known != set(space.names()):
        raise SettingsError(
            f"the parameters of space {study.space} have changed since study {study.study!r} began;"
            " restore the code it began with"
        )
    return study, space


def _as_began(space: Space, study: StudyStarted) -> Space:
    return as_began(space, [parameter["name"] for parameter in study.parameters])


def _merged(asked: Mapping[str, Any], home: Home) -> tuple[StudySettings, StudyReader | None]:
    name = asked.get("study")
    if name is None:
        return validate(asked), None
    return _merged_with(asked, study_folder(home, name))


def _merged_by_default(
    asked: Mapping[str, Any],
    name: str,
    home: Home,
    dataset: Dataset,
    again: Callable[[StudySettings, str], Dataset],
    splitter: Any,
    notify: Notify,
) -> tuple[StudySettings, StudyReader, Dataset]:
    """Find the study that is meant where no name is given: the first that matches, or a new one.

    Args:
        asked: the settings that the user gave, which are valid by themselves.
        name: the default one; others are `NAME-2`, `NAME-3` and so on.
        home: the home of studies.
        dataset: as it is now.
        again: reads the dataset with the digest that a study began with, if an earlier version may
            have read the same files otherwise.
        splitter: from Python, which gives a study that matches its own folds; None without.
        notify: takes a notice if the default name is another study's.

    Returns:
        Its settings, the study, and the dataset as this study has it.
    """
    why = ""
    for number in count(1):
        called = name if number == 1 else f"{name}-{number}"
        folder = study_folder(home, called)
        try:
            settings, reader = _merged_with({**asked, "study": called}, folder)
        except SettingsError as error:
            why = why or str(error).splitlines()[0].rstrip(".")
            continue
        before = reader.history.study
        if before is None:
            if why:
                notify(f"{why}. That is another study; this one is called {called!r}")
            return settings, reader, dataset
        digest = before.dataset["digest"]
        found = dataset if digest == dataset.digest else again(settings, digest)
        if found.digest != digest:
            other = f"content of dataset {before.dataset['name']}"
        elif splitter is not None and before.folds_digest != (
            Splitting.of(
                settings,
                asked,
                found,
                before=before,
                folder=folder,
                splitter=splitter,
                notify=unheard,
            )
            .folds()
            .digest
        ):
            other = f"folds, of {before.split.get('splitter', 'a splitter')}"
        else:
            return settings, reader, found
        why = why or f"study {called!r} began with other {other}"
    raise AssertionError("there is always another number")


def _merged_with(
    asked: Mapping[str, Any], folder: StudyFolder
) -> tuple[StudySettings, StudyReader]:
    """Return the given settings completed by those of the study, and the study."""
    reader, name = StudyReader(folder), asked["study"]
    history = reader.read()
    before = history.study
    if before is None:
        if asked.get("space") is None:
            raise SettingsError(no_study(Home(home_of(folder.journal)), name) + NEW)
        return validate(asked), reader
    last = history.sessions[-1] if history.sessions else None
    confirm = AUTO if last and last.auto_confirm else last.confirm if last else 0
    aim = {"trials": last.trials, "confirm": confirm, "stop": last.stop} if last else {}
    if asked.get("precision") == AUTO:  # chosen when the study began
        asked = {name: value for name, value in asked.items() if name != "precision"}
    before_now = {"objective": _searched(before), **began_with(before.settings)}
    words = {n: asked.get(n, before_now.get(n)) for n in ("space", "objective", "metrics")}
    wanted = validate({n: value for n, value in words.items() if value is not None})
    task = task_of(before.task, tuple(before.classes))
    goals = Goals.of(wanted.objective, wanted.metrics, task, began=_objective_of(before))
    asked = goals.asked(asked)
    if before.settings.get("epochs") is None and asked.get("epochs") == _held_epochs(before):
        asked = {name: value for name, value in asked.items() if name != "epochs"}
    settings = validate({**_kept(before_now, asked), **aim, **asked})
    began = validate({**before_now, "study": name})
    differing = [
        f"`--{field.replace('_', '-')}`: study {name!r} began with"
        f" {_begun_with(before, field, getattr(began, field))};"
        f" got {_shown(getattr(settings, field))}"
        for field in IDENTITY
        if field in asked and getattr(began, field) != getattr(settings, field)
    ]
    if differing:
        remedy = "Leave these options out to continue it, or name another study with `--study`."
        raise SettingsError("\n".join([*differing, remedy]))
    return settings, reader


def _searched(study: StudyStarted) -> str:
    return ",".join(objective.name for objective in objectives_of(study))


def _objective_of(study: StudyStarted) -> str:
    """Return the objective as a study recorded it."""
    return str(began_with(study.settings).get("objective") or _searched(study))


def _held_epochs(study: StudyStarted) -> int | None:
    """Return the epochs of all trials of a study; None if they are searched."""
    epochs = study.parameter("epochs")
    return None if epochs.get("searched", True) else epochs.get("default")


def _begun_with(study: StudyStarted, field: str, value: object) -> str:
    if field == "epochs" and value is None:
        return str(study.parameter("epochs").get("range", "the space's own"))
    return _shown(value)


def _kept(began: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings a study began with, without those that depend on a changed one.

    A changed setting is refused; without its dependants it is the only fault in the message.
    """
    hanging = {
        "driver": ("sampler", "sampler_args"),
        "sampler": ("sampler_args",),
        "objective": ("pruner",),
    }
    changed = (name for name in hanging if asked.get(name, began.get(name)) != began.get(name))
    gone = {dependant for name in changed for dependant in hanging[name]}
    return {name: value for name, value in began.items() if name not in gone}


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={text}" for name, text in value.items()) or "nothing"
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "nothing"
    return "nothing" if value is None else str(value)


def _space(reference: str, home: Home) -> Space:
    with _hushed(reference):
        return get_space(reference, cache=home.declarations)


def _space_on(reference: str, dataset: Dataset, home: Home, notify: Notify, pixels: str) -> Space:
    notices: list[str] = []  # passed on once standard error is restored
    with _hushed(reference):
        space = space_on(reference, dataset, home.declarations, notices.append, pixels=pixels)
    for notice in notices:
        notify(notice)
    return space


@contextmanager
def _hushed(reference: str) -> Iterator[None]:
    # A user's module may import TensorFlow, which prints; failures arrive as exceptions.
    hushed = standard_error_to(Path(os.devnull)) if ":" in reference else nullcontext()
    try:
        with hushed:
            yield
    except SpaceError as error:
        option = "space" if PASSED in reference else "--space"
        named = "" if reference in str(error) else f" {reference}"  # once
        raise SettingsError(f"`{option}{named}`: {error}") from error


def _narrowed(space: Space, settings: StudySettings, *, adapts: bool = True) -> NarrowedSpace:
    asked = dict(settings.set)
    if settings.epochs is not None:
        if "epochs" not in space.names():
            raise SettingsError(
                f"`--epochs` is not passed to the `fit` of space {space.name}, which sets the"
                f" number of epochs itself; got {settings.epochs}. Leave it out, or let `fit` pass"
                " on the `epochs` it is given"
            )
        if not space["epochs"].contains(settings.epochs):
            raise SettingsError(
                f"`--epochs` must be within {space['epochs'].describe()}, as {space.name} declares;"
                f" got {settings.epochs}. Leave it out to use the space's own"
            )
        asked = {"epochs": str(settings.epochs), **asked}
    try:
        return narrow(space, asked, adapts=adapts)
    except SpaceError as error:
        raise SettingsError(str(error)) from error


def _dataset(
    settings: StudySettings,
    space: Space,
    home: Home,
    data_dir: Path | None,
    digest: str | None,
    notify: Notify,
) -> tuple[Dataset, str]:
    wanted = settings.dataset or space.dataset
    if wanted is None:
        raise SettingsError(
            f"space {space.name} has no dataset of its own; name one of {' or '.join(space.kinds)}"
            " samples with `--dataset`, such as csv:train.csv"
        )
    try:
        found = load(
            wanted,
            home=home.root,
            data_dir=data_dir,
            reading=Reading.of(settings.model_dump()),
            digest=digest,
            notify=notify,
        )
        return found, ""
    except DatasetNotFound:
        if settings.dataset is not None or FALLBACK_KIND not in space.kinds:
            raise
    fallback = (
        f"{wanted}, the dataset of {space.name}, is not on this machine and could not be"
        f" downloaded: {FALLBACK_DATASET} is used instead. Scores on it say nothing about {wanted}."
        f" (`--dataset {wanted}` shows where it was searched for.)"
    )
    notify(fallback)
    return load(FALLBACK_DATASET, home=home.root, data_dir=data_dir, notify=notify), fallback
