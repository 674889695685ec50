"""Cut a study's folds: from its settings and its dataset, as it began or as asked for now."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data import Dataset
from search.data.arrays import Texts
from search.data.duplicates import copies_in, families
from search.data.folds import CONFIRMATIONS, Folds, Indices, joined_groups, stratified_part
from search.data.splits import (
    GIVEN,
    GROUP,
    SPLITTER,
    STRATIFIED,
    STRATIFIED_GROUP,
    TIME,
    Split,
    given_folds,
    make_confirmation_folds,
    make_folds,
    unevenness,
)
from search.data.splitters import described, folds_from
from search.errors import DataError, SettingsError
from search.seeds import derive
from search.study.execution import AUTO
from search.study.identity import left_out
from search.study.settings import StudySettings
from tracking.home import StudyFolder
from tracking.records import Json, StudyStarted
from tracking.text import Notify

TOLD_PARTS = 0.01  # a notice is given from this fraction of texts, or of training samples


@dataclass(frozen=True)
class Splitting:
    """How a study's samples are cut into folds.

    Attributes:
        settings: the study's, with the split and the number of folds that it comes to.
        dataset: whose training samples are cut.
        split: the way.
        before: the study's first record if it has begun.
        folder: its files.
        splitter: from Python: a splitter or pairs of indices; None without.
        limit: how many samples are used; None for all.
        notify: takes notices for the user.
    """

    settings: StudySettings
    dataset: Dataset
    split: Split
    before: StudyStarted | None
    folder: StudyFolder
    splitter: Any
    limit: int | None
    notify: Notify

    @classmethod
    def of(
        cls,
        settings: StudySettings,
        asked: Mapping[str, Any],
        dataset: Dataset,
        *,
        before: StudyStarted | None,
        folder: StudyFolder,
        splitter: Any,
        notify: Notify,
    ) -> "Splitting":
        """Return the split that the settings ask for, or that the dataset suggests.

        Raises:
            SettingsError: what was asked for contradicts itself, or lacks what the dataset has not.
        """
        name = settings.split
        if before is None or name is None:
            name = _chosen(name, dataset)
        split = Split.parse(name, settings.gap)
        if settings.confirm not in (0, AUTO) and split.is_single:
            raise SettingsError(
                f"`--confirm` needs folds that did not choose the best trials; those of split"
                f" {name} cannot be cut another way. Leave it out, or choose another `--split`."
            )
        update: dict[str, Any] = {"split": name}
        given = dataset.train_extra("folds")
        if name == GIVEN and given is not None and "folds" not in asked:
            update["folds"] = len(given_folds(given))
        return cls(
            settings.model_copy(update=update),
            dataset,
            split,
            before,
            folder,
            splitter,
            _limit(settings, asked, dataset),
            notify,
        )

    def folds(self) -> Folds:
        """Return the study's folds.

        Raises:
            SettingsError: a setting does not fit the data.
            DataError: the samples cannot be cut.
        """
        if self.split.name == SPLITTER:
            return self._from_python()
        settings, data = self.settings, self.dataset
        folds = make_folds(
            self._targets,
            task=data.task,
            folds=settings.folds,
            seed=settings.seed,
            split=self.split,
            limit_samples=self.limit,
            leave_out=self._left_out(self.notify),
            groups=self.groups,
            time=_extra(data, "time"),
            given=_extra(data, "folds"),
            as_before=self._is_earlier,
            notify=self.notify,
        )
        if self.groups is not None and not self.split.is_single:
            uneven = unevenness(folds, self._targets, self.groups, self.split.repeats, data.task)
            if uneven:
                self.notify(uneven)
        return replace(folds, groups=None) if self._is_earlier else folds

    def confirmation_folds(self, folds: Folds) -> Folds:
        """Return the confirmation folds, cut from unused samples as far as possible."""
        made = make_confirmation_folds(
            self._targets,
            folds,
            task=self.dataset.task,
            seeds=[
                derive(self.settings.seed, "confirmation", repeat)
                for repeat in range(CONFIRMATIONS)
            ],
            split=self.split,
            leave_out=self._left_out(_unheard),
            groups=self.groups,
            as_before=self._is_earlier,
        )
        return replace(made, groups=None) if self._is_earlier else made

    def described(self, folds: Folds) -> Json:
        """Return what `StudyStarted.split` holds of the folds."""
        own = {"splitter": described(self.splitter)} if self.splitter is not None else {}
        validations = sum(map(len, folds.validation))
        return {
            "share": folds.share,
            "validated": folds.validated,
            "repeats": validations / folds.validated,
            **own,
        }

    @cached_property
    def groups(self) -> Indices | None:
        """The groups of training samples that must not be on both sides of a fold."""
        own = _extra(self.dataset, "groups")
        if isinstance(self.dataset.train_samples, Texts):
            related = self._related_texts()
            return related if own is None else joined_groups(own, related)
        if self.settings.allow_duplicates:
            return joined_groups(own)
        copies = copies_in(self.dataset)
        count = len(self._targets)
        if copies.surplus:
            self.notify(
                f"{copies.surplus:,} of {count:,} training samples are copies of others; each stays"
                " on one side of every split with them (`--allow-duplicates` lets go of them)"
            )
        self._tell_of_tested(copies.tested)
        return joined_groups(own, copies.groups)

    def _related_texts(self) -> Indices | None:
        """Return for each training text the number of its family; None if all are alone."""
        samples = self.dataset.train_samples
        if not isinstance(samples, Texts):
            raise TypeError("only texts contain one another")
        if self.settings.allow_duplicates and not self._is_earlier:
            return None
        groups = families(samples)
        if not self._is_earlier:
            copies = copies_in(self.dataset)
            self._tell_of_tested(copies.tested)
            joined = joined_groups(groups, copies.groups)
            if joined is not None and joined.max() < groups.max():  # texts without words
                groups = joined
        texts, parts = len(groups), len(groups) - len(np.unique(groups))
        if parts >= TOLD_PARTS * texts:
            self.notify(
                f"{parts:,} of {texts:,} texts are parts of others or equal to them; each stays in"
                " one fold with the text that contains it"
            )
        return groups if parts else None

    def _tell_of_tested(self, tested: int) -> None:
        count = len(self._targets)
        if tested >= TOLD_PARTS * count and not self.settings.drop_duplicates:
            self.notify(
                f"{tested:,} of {count:,} training samples are in the test set, too, so that its"
                " scores are too good; `--drop-duplicates` leaves them out"
            )

    def _from_python(self) -> Folds:
        """Return the folds of the splitter, or those that it gave when the study began."""
        if self.splitter is None:
            if self.before is None:
                raise SettingsError(
                    "`--split splitter` is for splitters from Python: run_study(cv=...)"
                )
            try:
                return Folds.load(self.folder.folds, digest=self.before.folds_digest)
            except DataError as error:
                raise SettingsError(
                    f"the folds of study {self.before.study!r} were cut by"
                    f" {self.before.split.get('splitter', 'a splitter')} from Python and cannot be"
                    " read. Pass the same again: run_study(cv=...)."
                ) from error
        left = self._left_out(self.notify)
        used = None
        if left is not None or self.limit is not None:
            used = np.setdiff1d(np.arange(len(self._targets)), [] if left is None else left)
        if used is not None and self.limit is not None:
            whole = None if self.groups is None else self.groups[used]
            strata = self.dataset.task.strata(self._targets[used], self.settings.folds)
            used = used[stratified_part(strata, self.limit, self.settings.seed, whole)]
        return folds_from(
            self.splitter,
            self.dataset.train_samples,
            self._targets,
            _extra(self.dataset, "groups"),
            task=self.dataset.task,
            related=self.groups,
            limit_to=used,
            notify=self.notify,
        )

    @property
    def _targets(self) -> NDArray[Any]:
        return np.asarray(self.dataset.train_labels)

    @property
    def _is_earlier(self) -> bool:
        """Whether the study began with a version that cut otherwise."""
        return self.before is not None and "split" not in self.before.settings

    def _left_out(self, notify: Notify) -> NDArray[np.int64] | None:
        return left_out(self.dataset, notify) if self.settings.drop_duplicates else None


def _chosen(name: str | None, dataset: Dataset) -> str:
    """Return the name of the split that is asked for, or that the dataset suggests."""
    has = {extra for extra in ("groups", "time", "folds") if extra in dataset.extras}
    if name is not None:
        lacking = {GROUP: "groups", STRATIFIED_GROUP: "groups", TIME: "time", GIVEN: "folds"}
        if name in lacking and lacking[name] not in has:
            option = {"folds": "--fold-column"}.get(lacking[name], f"--{lacking[name]}")
            raise SettingsError(
                f"`--split {name}` needs {_WHAT[lacking[name]]}; dataset {dataset.title} has none."
                f" Name a column with `{option}`, or choose another split."
            )
        return name
    if "folds" in has:
        return GIVEN
    if has == {"groups", "time"}:
        raise SettingsError(
            "with both groups and a time, say how samples are split: `--split stratified-group`"
            " keeps groups whole, `--split time` also has training before validation, from which"
            " it leaves out the groups that are validated"
        )
    return STRATIFIED_GROUP if "groups" in has else TIME if "time" in has else STRATIFIED


_WHAT = {"groups": "groups", "time": "times", "folds": "the fold of each sample"}


def _extra(dataset: Dataset, name: str) -> NDArray[Any] | None:
    found = dataset.train_extra(name)
    return None if found is None else np.asarray(found)


def _limit(settings: StudySettings, asked: Mapping[str, Any], dataset: Dataset) -> int | None:
    limit = settings.limit_samples
    if "dataset" not in asked and limit is not None and limit >= len(dataset.train_labels):
        return None  # the limit was meant for the space's dataset, not for this one
    return limit


def _unheard(notice: str) -> None:
    del notice
