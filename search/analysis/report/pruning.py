"""Where trials were pruned, and what that saved."""

from dataclasses import dataclass

from plotly.graph_objects import Figure, Scatter

from search.analysis.report.style import (
    BLUE,
    BLUE_BAND,
    GREY,
    GREY_BAND,
    blank_figure,
    legend_above,
    whole_numbers,
)
from search.analysis.report.subject import NothingToDraw, Subject
from tracking.history import History, TrialHistory


@dataclass(frozen=True)
class Saving:
    """What pruning saved.

    Attributes:
        stopped: number of pruned trials.
        epochs: epochs that were not trained, over all folds; an upper bound with early stopping.
        of: epochs that all finished trials would have trained without pruning.
        seconds: estimated time of the saved epochs, at each trial's own speed.
    """

    stopped: int
    epochs: int
    of: int
    seconds: float


def saving(history: History) -> Saving:
    """Return what pruning saved so far."""
    done = [trial for trial in history.finished() if trial.state in ("complete", "pruned")]
    stopped = [trial for trial in done if trial.state == "pruned"]
    epochs = seconds = 0.0
    for trial in stopped:
        missing = full_epochs(trial, history) - trained_epochs(trial)
        epochs += missing
        spent = trial.ended.train_seconds if trial.ended else 0.0
        seconds += missing * spent / max(1, trained_epochs(trial))
    whole = sum(full_epochs(trial, history) for trial in done)
    return Saving(len(stopped), int(epochs), whole, seconds)


def trained_epochs(trial: TrialHistory) -> int:
    """Return how many epochs a finished trial was trained, over all folds."""
    return trial.ended.epochs_trained if trial.ended else 0


def full_epochs(trial: TrialHistory, history: History) -> int:
    """Return how many epochs a trial would have been trained for without pruning."""
    if trial.state != "pruned":
        return trained_epochs(trial)
    study = history.known_study()
    epochs = trial.params.get("epochs") or study.settings.get("epochs") or 0
    return max(trained_epochs(trial), study.folds * int(epochs))


def pruning(subject: Subject) -> Figure:
    """Draw how many trials were trained for how many epochs, with and without pruning."""
    history = subject.history
    if not subject.pruned:
        raise NothingToDraw("No trial was pruned.")
    trials = [t for t in history.finished() if t.state in ("complete", "pruned")]
    with_it = sorted(trained_epochs(trial) for trial in trials)
    without = sorted(full_epochs(trial, history) for trial in trials)
    figure = blank_figure(380)
    for lengths, name, colour, band in (
        (without, "without pruning", GREY, GREY_BAND),
        (with_it, "trained", BLUE, BLUE_BAND),
    ):
        at, left = _survivors(lengths)
        figure.add_trace(
            Scatter(
                x=at,
                y=left,
                mode="lines",
                name=name,
                line={"color": colour, "width": 2, "shape": "hv"},
                fill="tozeroy",
                fillcolor=band,
                hovertemplate=f"%{{y}} trials {name}<br>beyond %{{x}} epochs<extra></extra>",
            )
        )
    _mark_folds(figure, subject, max(without))
    figure.update_xaxes(
        title_text="epochs trained, over all folds",
        range=[0, 1.02 * max(without)],
        **whole_numbers(max(without)),
    )
    figure.update_yaxes(title_text="trials", rangemode="tozero", **whole_numbers(len(trials), 6))
    legend_above(figure)
    return figure


def _survivors(lengths: list[int]) -> tuple[list[int], list[int]]:
    """Return a step function: how many trials were trained for more than so many epochs."""
    at, left = [0], [len(lengths)]
    for length in sorted(set(lengths)):
        at.append(length)
        left.append(sum(other > length for other in lengths))
    return at, left


def _mark_folds(figure: Figure, subject: Subject, longest: int) -> None:
    """Mark the ends of folds if all trials have the same number of epochs."""
    study = subject.history.known_study()
    lengths = {trial.params.get("epochs") for trial in subject.history.trials.values()}
    if len(lengths) != 1 or longest != study.folds * int(next(iter(lengths)) or 0):
        return
    for fold in range(1, study.folds + 1):
        end = longest * fold // study.folds
        figure.add_vline(x=end, line={"color": GREY, "dash": "dot", "width": 1})
        figure.add_annotation(
            x=end - longest / study.folds / 2,
            y=1,
            yref="paper",
            yanchor="top",
            text=f"fold {fold}",
            showarrow=False,
            font={"size": 11, "color": GREY},
        )
