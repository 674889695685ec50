"""Which code and which versions a study's trials were trained with, and how these differ.

A trial counts as trained in each session that began one of its folds.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from tracking.history import History, TrialHistory
from tracking.records import Json, SessionStarted

COMPARED = ("foldwise", "keras", "tensorflow", "numpy")

# Contents of this project's spaces in earlier versions (SHA-256, its beginning) that build the same
# models of classes as later ones, and the `body` of these: imports and names alone are others, and
# how many outputs there are for other tasks.
_SAME_BODY = {
    "e5df231a46c7857d": "abc3604981925657",  # lenet
    "657ed0a75853292b": "abc3604981925657",  # lenet
    "05f27f413d0803fe": "e2df1a981ed1aacd",  # cnn
    "95d26d717ca39429": "e2df1a981ed1aacd",  # cnn
    "e804caf0bf551165": "daae056741731b76",  # mlp
    "60cae53339b082f5": "daae056741731b76",  # mlp
    "ab090a5fd7c45c4a": "f3ccaa588242a295",  # bilstm
    "5eb0726deaf340f9": "f3ccaa588242a295",  # bilstm
    "5770652929cf01ec": "95ecff557b6650e0",  # convnet
    "9e26cc4827b48309": "95ecff557b6650e0",  # convnet
    "80f7e15c4e18b1ee": "694abc257c3b0cdf",  # transfer
    "71faa11178ce336e": "694abc257c3b0cdf",  # transfer
}


def code_changes(before: Json, now: Json, *, partly: bool = False) -> list[str]:
    """Return how a space's code differs from what it was, a phrase for each file or package.

    A file whose comments or layout alone are others counts as unchanged.

    Args:
        before: a fingerprint, as `SessionStarted.code` holds it.
        now: another one; where either is empty nothing is known, and nothing differs.
        partly: `now` need not have all files, nor `before`.
    """
    if not before or not now:
        return []
    old, new = before.get("files", {}), now.get("files", {})
    changes = [
        f"{name} was changed" for name in sorted(old.keys() & new) if _differ(old[name], new[name])
    ]
    if not partly:
        changes += [f"{name} was added" for name in sorted(new.keys() - old)]
        changes += [f"{name} was removed" for name in sorted(old.keys() - new)]
    was, has = before.get("packages", {}), now.get("packages", {})
    changes += [
        f"{name} is {has.get(name, 'gone')}; it was {was.get(name, 'not there')}"
        for name in sorted(was.keys() | has)
        if was.get(name) != has.get(name)
    ]
    return changes


def version_changes(before: Json, now: Json) -> list[str]:
    """Return which packages that decide scores have other versions, a phrase each.

    Args:
        before: a session's environment.
        now: another one's.
    """
    was, has = before.get("versions") or {}, now.get("versions") or {}
    return [
        f"{name} {has[name]} (was {was[name]})"
        for name in COMPARED
        if name in was and name in has and was[name] != has[name]
    ]


def sessions_of(history: History, trial: TrialHistory) -> list[SessionStarted]:
    """Return the sessions that trained some of a trial's folds, in order."""
    return [history.sessions[number] for number in sorted(trial.sessions)]


def code_of_trial(history: History, trial: TrialHistory) -> Json:
    """Return the fingerprint of the code a trial was trained with last; empty if unknown."""
    return next((s.code for s in reversed(sessions_of(history, trial)) if s.code), {})


def last_code(history: History) -> Json:
    """Return the fingerprint of the code that the study was run with last; empty if unknown."""
    return next((session.code for session in reversed(history.sessions) if session.code), {})


def trial_marks(history: History, trial: TrialHistory) -> list[str]:
    """Return in what a trial was trained otherwise than the study's first trials, a sentence each.

    Only trials with the same code and versions can be compared without a doubt.
    """
    if not history.sessions:
        return []
    began = history.sessions[0]
    sessions = sessions_of(history, trial)
    code = next((session.code for session in history.sessions if session.code), {})
    marks = []
    changes = _each(code_changes(code, session.code) for session in sessions)
    if changes:
        marks.append(f"trained with other code than the study began with: {'; '.join(changes)}")
    versions = _each(version_changes(began.environment, one.environment) for one in sessions)
    if versions:
        marks.append(f"trained with other versions: {', '.join(versions)}")
    if len(sessions) > 1 and any(code_changes(sessions[0].code, one.code) for one in sessions[1:]):
        marks.append("trained with different code from fold to fold: its score means nothing")
    return marks


def _each(found: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(phrase for phrases in found for phrase in phrases))


def _differ(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    if old.get("sha256") == new.get("sha256"):
        return False
    if old.get("syntax") and old.get("syntax") == new.get("syntax"):
        return False
    known = _SAME_BODY.get(str(old.get("sha256"))[:16])
    return known is None or known != str(new.get("body"))[:16]
