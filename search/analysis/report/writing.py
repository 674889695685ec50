"""Write a report to its file, and record it with its studies."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from search.analysis.report.report import Reported, report
from search.errors import FoldwiseError, SettingsError
from search.studies import StudyReader, known_reader, opened_log
from search.text import Notify, shell
from search.tracker import Tracker
from tracking.files import beside, whole_file
from tracking.home import Home
from tracking.lock import StudyLocked, holder
from tracking.records import ReportWritten


@dataclass(frozen=True)
class Written:
    """A written report.

    Attributes:
        file: absolute path.
        size: bytes.
        sha256: its digest.
        studies: names of its studies.
        waiting: records that have not reached MLflow yet.
    """

    file: Path
    size: int
    sha256: str
    studies: tuple[str, ...]
    waiting: int = 0


def write_report(
    home: Home,
    names: Sequence[str],
    *,
    target: Path,
    overwrite: bool,
    data_dir: Path | None,
    tracker: Tracker,
    notify: Notify,
    on_written: Callable[[Written], None] = lambda _: None,
) -> Written:
    """Write the report of one study or several, record it in each and log it to MLflow.

    Only the process that runs a study may write its journal: the report of a running study is
    written, but not recorded.

    Args:
        home: the home of the studies.
        names: their names; repeated ones count once.
        target: the HTML file.
        overwrite: replace an existing file.
        data_dir: folder with the user's datasets.
        tracker: publishes the record to MLflow.
        notify: takes notices for the user.
        on_written: called when the file is written, before it is logged to MLflow, which may take
            longer.

    Raises:
        SettingsError: no such study, or a target that cannot be used.
        FoldwiseError: a study has no complete trial.
    """
    check_target(target, overwrite=overwrite)
    readers = {name: known_reader(home, name) for name in names}
    content = report(
        [_reported(*each) for each in readers.items()], home=home.root, data_dir=data_dir
    ).encode()
    _write(target, content)
    digest = hashlib.sha256(content).hexdigest()
    written = Written(target.resolve(), len(content), digest, tuple(readers))
    on_written(written)
    record = ReportWritten(at=time.time(), file=str(written.file), sha256=digest)
    waiting = sum(
        _record(name, reader, record, tracker, notify) for name, reader in readers.items()
    )
    return replace(written, waiting=waiting)


def check_target(target: Path, *, overwrite: bool) -> None:
    """Check that a report can be written, before any work; missing folders are created.

    Raises:
        SettingsError: it is a folder, exists already, or cannot be written.
    """
    if target.is_dir():
        raise SettingsError(f"`--out` must be a file; {target} is a folder. Add a name to it.")
    if target.exists() and not overwrite:
        raise SettingsError(
            f"`--out {target}` exists already; replace it with `--overwrite` or choose another"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        probe = beside(target)
        probe.open("xb").close()
        probe.unlink()
    except OSError as error:
        raise _not_writable(target, error) from error


def _reported(name: str, reader: StudyReader) -> Reported:
    folder, history = reader.folder, reader.history
    if history.best() is None:
        states = [trial.state.shown for trial in history.trials.values()]
        counts = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states)) or "none at all"
        trials = str(2 * max(10, len(states)))
        raise FoldwiseError(
            f"a report needs a complete trial; study {name!r} has none ({counts}). Continue"
            f" it with `{shell('run', '--study', name, '--trials', trials)}`."
        )
    return Reported(history, folder, is_running=holder(folder.lock) is not None)


def _write(target: Path, content: bytes) -> None:
    """Write the file completely or not at all."""
    try:
        with whole_file(target) as file:
            file.write(content)
    except OSError as error:
        raise _not_writable(target, error) from error


def _not_writable(target: Path, error: OSError) -> SettingsError:
    return SettingsError(
        f"`--out {target}` cannot be written: {error.strerror or error}. Choose another file."
    )


def _record(
    name: str, reader: StudyReader, record: ReportWritten, tracker: Tracker, notify: Notify
) -> int:
    try:
        with opened_log(reader, notify) as log:
            log.append(record)
    except StudyLocked:
        notify(
            f"study {name} is running, so the report is not logged to MLflow; write it"
            " again when the session has ended"
        )
        return 0
    return tracker.sync(reader.folder, notify)
