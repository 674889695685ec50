"""The states of a trial, what brings it from one to another, and nothing else."""

from collections.abc import Mapping
from enum import Enum, StrEnum, auto


class TrialState(StrEnum):
    """Where a trial is between its proposal and its outcome.

    A trial that nobody trains any more since its session ended is as it was then.
    """

    PROPOSED = "proposed"
    RUNNING = "running"
    WAITING = "waiting"  # in a race: nothing of it is trained now, and others have begun since
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        """Whether the trial has an outcome."""
        return self in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED)

    @property
    def shown(self) -> str:
        """What tables, JSON and MLflow call it; they tell no proposed trial from a running one."""
        return "running" if self is TrialState.PROPOSED else self.value


class Event(Enum):
    """What a record means for the state of a trial."""

    FOLD_BEGAN = auto()  # one of the study's folds, not one that confirms
    OTHERS_BEGAN = auto()  # another trial or fold began while this one rested
    COMPLETED = auto()
    PRUNED = auto()
    FAILED = auto()
    REOPENED = auto()  # its outcome does not hold: a fold that it rests on is lost
    FORGOTTEN = auto()  # its folds do not count: the space's code has changed


_OUTCOMES = {
    Event.COMPLETED: TrialState.COMPLETE,
    Event.PRUNED: TrialState.PRUNED,
    Event.FAILED: TrialState.FAILED,
}

# An event that is not listed for a state leaves a trial in it.
TRANSITIONS: Mapping[tuple[TrialState, Event], TrialState] = {
    (TrialState.PROPOSED, Event.FOLD_BEGAN): TrialState.RUNNING,
    (TrialState.WAITING, Event.FOLD_BEGAN): TrialState.RUNNING,
    (TrialState.RUNNING, Event.OTHERS_BEGAN): TrialState.WAITING,
    (TrialState.RUNNING, Event.FORGOTTEN): TrialState.PROPOSED,
    (TrialState.WAITING, Event.FORGOTTEN): TrialState.PROPOSED,
    **{
        (state, event): outcome
        for state in TrialState
        for event, outcome in _OUTCOMES.items()
        if not state.is_over
    },
    **{(state, Event.REOPENED): TrialState.RUNNING for state in TrialState if state.is_over},
}


def after(state: TrialState, event: Event) -> TrialState:
    """Return the state that an event brings a trial to."""
    return TRANSITIONS.get((state, event), state)


def outcome(state: str) -> Event:
    """Return the event that `TrialEnded.state` stands for.

    Raises:
        KeyError: it is none of the three outcomes.
    """
    by_name = {shown.value: event for event, shown in _OUTCOMES.items()}
    return by_name[state]
