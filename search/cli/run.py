"""`run`: search a space, or continue a study."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.cli.output import DEFAULT_HOME, AcceptChangedCode, AsJson, DataDir, Home, TrackingUri

if TYPE_CHECKING:
    from search.api import StudyResult
    from search.tracker import Tracker

INTERRUPTED = 130
NO_TRIAL_SUCCEEDED = 1


def run(
    space: Annotated[
        str | None,
        typer.Option(help="Name, package.module:ATTRIBUTE or file.py:ATTRIBUTE (runs that code)."),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Name, csv:TRAIN[,TEST], npz:FILE, folder:DIR or tfds:NAME."
            " [default: the space's own]"
        ),
    ] = None,
    study: Annotated[
        str | None, typer.Option(help="Name of the study. [default: SPACE-DATASET]")
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(help="Total number of trials, earlier ones included. [default: 20]"),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(help="Folds of a trial, 1..20; 1 is a hold-out. [default: 5]")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Epochs of a fold. [default: the space's own, else 10]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Decides all chance. [default: 0]")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="P=V|LO:HI|A,B", help="Fix or narrow a parameter; repeatable."
        ),
    ] = None,
    limit_samples: Annotated[
        int | None, typer.Option(help="Use a stratified part of the training samples.")
    ] = None,
    drop_duplicates: Annotated[
        bool | None,
        typer.Option(
            "--drop-duplicates",
            help="Leave out training samples that stand twice, contradict each other or are in"
            " the test set.",
        ),
    ] = None,
    timeout: Annotated[
        str | None, typer.Option(help="End this session after a time: 90s, 15m, 2h.")
    ] = None,
    driver: Annotated[
        str | None, typer.Option(help="What proposes: optuna or keras-tuner. [default: optuna]")
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(
            help="How it proposes: optuna's tpe, random, gp, qmc, cmaes, grid [default: tpe];"
            " keras-tuner's bayesian, random, hyperband, grid [default: bayesian]."
        ),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help="What to search for: cv_accuracy, cv_loss or macro_f1; or two, such as"
            " cv_accuracy,model_parameters or cv_accuracy,latency_ms (Optuna only; nothing is"
            " pruned then). [default: cv_accuracy]"
        ),
    ] = None,
    pruner: Annotated[
        str | None,
        typer.Option(
            help="What ends weak trials early: racing, none, median, hyperband, wilcoxon."
            " [default: racing, none for two objectives]"
        ),
    ] = None,
    confirm: Annotated[
        int | None,
        typer.Option(
            help="Evaluate the best N, and the best baseline, on twice as many further folds, which"
            " then decide. [default: 0]"
        ),
    ] = None,
    baselines: Annotated[
        bool | None,
        typer.Option("--baselines/--no-baselines", help="Evaluate published settings first."),
    ] = None,
    executor: Annotated[
        str | None,
        typer.Option(help="local (worker processes), inline, or ray (a cluster). [default: local]"),
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option(
            help="Worker processes that train trials side by side. Only with one are results the"
            " same to the last bit. [default: auto, what is quickest here]"
        ),
    ] = None,
    worker_memory: Annotated[
        str | None,
        typer.Option(
            help="Replace a worker that holds more after a trial: 3GB, 800MB."
            " [default: its share of 80 % of the memory]"
        ),
    ] = None,
    trial_timeout: Annotated[
        str | None,
        typer.Option(help="Fail a trial that trains for longer: 10m, 1h. [default: no limit]"),
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(
            help="auto, HOST:PORT or ray://HOST:PORT of a Ray cluster. [default: this machine]"
        ),
    ] = None,
    cpus_per_trial: Annotated[
        int | None,
        typer.Option(help="Processors a trial takes of a cluster, and threads. [default: 1]"),
    ] = None,
    gpus_per_trial: Annotated[
        float | None,
        typer.Option(help="Share of a GPU a trial takes of a cluster, up to 1. [default: 0]"),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="float32, mixed_bfloat16, or auto: bfloat16 where it is quicker and scores the"
            " same within noise. [default: auto; a study keeps its own]"
        ),
    ] = None,
    pixels: Annotated[
        str | None,
        typer.Option(
            help="What a build function's or hypermodel's models for images are given: raw (0 to"
            " 255), scaled (0 to 1), or auto: raw where they rescale. [default: auto]"
        ),
    ] = None,
    accept_changed_code: AcceptChangedCode = False,
    config: Annotated[
        Path | None, typer.Option(help="YAML file of these options; the command line goes first.")
    ] = None,
    data_dir: DataDir = None,
    tracking_uri: TrackingUri = None,
    home: Home = DEFAULT_HOME,
    json: AsJson = False,
) -> None:
    """Search a space: every trial cross-validated, everything in MLflow.

    The same command again continues the study; `--trials` is the total. Ctrl-C keeps every
    finished fold.
    """
    given = {
        "space": space,
        "dataset": dataset,
        "study": study,
        "trials": trials,
        "folds": folds,
        "epochs": epochs,
        "seed": seed,
        "limit_samples": limit_samples,
        "drop_duplicates": drop_duplicates or None,
        "timeout": timeout,
        "driver": driver,
        "sampler": sampler,
        "objective": objective,
        "pruner": pruner,
        "confirm": confirm,
        "baselines": baselines,
        "executor": executor,
        "workers": workers,
        "worker_memory": worker_memory,
        "trial_timeout": trial_timeout,
        "ray_address": ray_address,
        "cpus_per_trial": cpus_per_trial,
        "gpus_per_trial": gpus_per_trial,
        "precision": precision,
        "pixels": pixels,
    }
    asked = _asked(given, set_ or [], config)
    from search.api import run_study
    from search.cli.live import make_display
    from search.cli.output import Notices
    from search.tracker import Tracker
    from tracking.home import Home as HomeFolder

    notify = Notices(quiet=json)
    result = run_study(
        home=home,
        tracking_uri=tracking_uri,
        data_dir=data_dir,
        notify=notify,
        display=partial(make_display, quiet=json),
        accept_changed_code=accept_changed_code,
        **asked,
    )
    _conclude(result, Tracker(HomeFolder(home), tracking_uri), notify.texts, json)


def _asked(given: dict[str, Any], pairs: list[str], config: Path | None) -> dict[str, Any]:
    from search.study.settings import parse_overrides, read_config

    asked = read_config(config) if config else {}
    asked |= {name: value for name, value in given.items() if value is not None}
    if pairs:
        asked["set"] = {**asked.get("set", {}), **parse_overrides(pairs)}
    return asked


def _conclude(result: "StudyResult", tracker: "Tracker", notices: list[str], as_json: bool) -> None:
    from search.cli import summary
    from search.cli.output import print_json

    if as_json:
        print_json(summary.document(result, tracker, notices))
    else:
        summary.show(result, tracker)
    if result.reason == "interrupted":
        raise typer.Exit(INTERRUPTED)
    if not result.history.completed():
        raise typer.Exit(NO_TRIAL_SUCCEEDED)
