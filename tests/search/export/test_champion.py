"""Which exported model is the champion."""

import pytest

from search.data.folds import validation_share
from search.export.evaluation import decide, present_champion
from tests.studies import RegressionStudyBuilder, StudyBuilder
from tracking.records import ModelExported


class Exports(StudyBuilder):
    """A study whose trials score what they are told on each fold."""

    def scored(self, trial: int, accuracies: list[float], origin: str = "sampled") -> None:
        self.start_trial(trial, origin)
        for fold, accuracy in enumerate(accuracies, start=1):
            self.fold(trial, fold, level=accuracy - fold / 1000)  # the builder adds it again
        self.end_trial(trial, "complete", sum(accuracies) / len(accuracies))

    def exported(self, trial: int, alias: str = "champion") -> None:
        self.add(
            ModelExported,
            trial=trial,
            folder="/x",
            model_sha256="0" * 64,
            curves=[],
            train_seconds=1.0,
            model_parameters=1,
            requirements=[],
            alias=alias,
        )

    def decided(self, trial: int, *, force: bool = False) -> tuple[str, str]:
        decision = decide(self.history, self.history.trials[trial], force=force)
        return decision.alias, decision.reason


LEVEL = [0.80, 0.82, 0.81, 0.83, 0.82]


@pytest.fixture
def study():
    study = Exports(folds=5)
    study.session()
    study.scored(0, LEVEL)
    study.scored(1, [score - 0.001 * (-1) ** n for n, score in enumerate(LEVEL)])  # as good
    study.scored(2, [score - 0.05 + 0.001 * n for n, score in enumerate(LEVEL)])  # worse
    study.scored(3, [score + 0.05 + 0.001 * n for n, score in enumerate(LEVEL)])  # better
    return study


def test_the_first_export_is_the_champion(study):
    assert study.decided(2) == ("champion", "It is the first model exported from this study.")


def test_one_that_is_no_worse_takes_its_place(study):
    study.exported(0)
    alias, reason = study.decided(1)
    assert alias == "champion"
    assert reason.startswith("It is not significantly worse than the champion, trial 0 (accuracy -")
    alias, reason = study.decided(3)
    assert alias == "champion"
    assert reason.startswith("It is better than the champion, trial 0 (accuracy +5.20 points, 95 %")


def test_one_that_is_worse_becomes_the_challenger(study):
    study.exported(0)
    alias, reason = study.decided(2)
    assert alias == "challenger"
    # By hand: t(0.975, 4) sqrt((1/5 + 1/4) var) = 2.7764 sqrt(0.45) 0.0015811 = 0.0029448.
    assert reason == (
        "It is worse than the champion, trial 0 (accuracy -4.80 points, 95 % interval -5.09 to"
        " -4.51, over 5 folds)."
    )


def test_force_makes_it_champion_and_says_so(study):
    study.exported(0)
    alias, reason = study.decided(2, force=True)
    assert alias == "champion"
    assert reason.startswith("It is worse than the champion")
    assert reason.endswith("; it was made champion with `--force`.")
    assert "--force" not in study.decided(3, force=True)[1]


def test_the_same_trial_again_is_champion(study):
    study.exported(2)
    assert study.decided(2)[0] == "champion"


def test_a_challenger_is_nobody_to_be_compared_with(study):
    study.exported(0)
    study.exported(2, alias="challenger")
    assert present_champion(study.history).trial == 0
    assert study.decided(2)[0] == "challenger"
    assert study.decided(0)[0] == "champion"


def test_where_both_were_confirmed_it_goes_by_those_folds_alone():
    study = Exports(folds=2)
    study.session()
    study.scored(0, [0.80, 0.82])
    study.scored(1, [0.78, 0.81])
    study.exported(0)
    assert "over 2 folds" in study.decided(1)[1]
    study.confirm_trial(0, level=0.80)
    assert "over 2 folds" in study.decided(1)[1]
    study.confirm_trial(1, level=0.78)
    alias, reason = study.decided(1)
    assert "over 4 confirmation folds" in reason
    assert alias == "challenger"


@pytest.mark.parametrize("origin", ["sampled", "baseline:plain"])
def test_a_lead_that_luck_among_many_trials_explains_is_none(origin):
    study = Exports(folds=5)
    study.session()
    study.scored(0, LEVEL, origin)
    study.scored(1, [s - 0.01 + 0.003 * (n - 2) for n, s in enumerate(LEVEL)])
    study.exported(0)
    assert study.decided(1)[0] == "challenger"
    for trial in range(2, 40):
        study.start_trial(trial)
        study.fold(trial, 1, epochs=1)
        study.end_trial(trial, "pruned")
    alias, reason = study.decided(1)
    assert alias == "champion"
    assert "not significantly worse" in reason


def test_one_that_scores_just_the_same_takes_its_place():
    study = Exports(folds=5)
    study.session()
    study.scored(0, LEVEL)
    study.scored(1, LEVEL)
    study.exported(0)
    alias, reason = study.decided(1)
    assert alias == "champion"
    assert reason.startswith("It is not significantly worse")


def test_macro_f1_is_told_in_points():
    study = Exports(folds=5, objective="macro_f1")
    study.session()
    study.scored(0, LEVEL)
    study.scored(1, [score - 0.05 + 0.001 * n for n, score in enumerate(LEVEL)])
    study.exported(0)
    assert "(macro F1 -4.80 points, 95 % interval -5.09 to -4.51" in study.decided(1)[1]


def test_of_losses_the_smaller_is_better():
    study = Exports(folds=5, objective="cv_loss")
    study.session()
    study.scored(0, LEVEL)
    study.scored(1, [score - 0.05 + 0.001 * n for n, score in enumerate(LEVEL)])
    study.exported(0)
    alias, reason = study.decided(1)
    assert alias == "challenger"
    assert "(loss lower by -0.0480, 95 % interval -0.0509 to -0.0451" in reason


def test_with_a_single_split_nothing_is_claimed():
    study = Exports(folds=1)
    study.session()
    study.scored(0, [0.8])
    study.scored(1, [0.5])
    study.exported(0)
    alias, reason = study.decided(1)
    assert alias == "champion"
    assert "cannot be told" in reason


def test_one_fold_of_a_single_split_is_a_fifth():
    assert validation_share(5) == validation_share(1) == pytest.approx(0.25)
    assert validation_share(2) == 1


class Prices(RegressionStudyBuilder, Exports):
    """A study of a regression; `level` 1 is without error."""


def test_an_error_is_better_the_smaller_it_is():
    study = Prices(folds=5)
    study.session()
    for trial, level in enumerate((0.80, 0.70, 0.90)):
        study.complete_trial(trial, level=level)
    study.exported(0)
    alias, reason = study.decided(1)
    assert alias == "challenger"
    assert reason.startswith("It is worse than the champion, trial 0 (rmse lower by -10000, 95 %")
    alias, reason = study.decided(2)
    assert alias == "champion"
    assert reason.startswith("It is better than the champion, trial 0 (rmse lower by +10000, 95 %")
