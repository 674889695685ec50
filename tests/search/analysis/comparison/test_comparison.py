import json
from dataclasses import replace

import numpy as np
import pytest

from search.analysis.comparison.comparison import compare
from search.analysis.comparison.contenders import chosen_contenders
from search.analysis.comparison.files import document
from search.analysis.comparison.ranks import rank
from search.analysis.comparison.selection import NAMED, Choice
from search.analysis.comparison.statistics import corrected_difference, holm, unpaired_difference
from tests.search.analysis.comparison.comparing import MIDDLE, STRONG, WEAK, complete, confirm


def verdict(found):
    return found.verdict


def compared(studies, *names, trials="best"):
    return compare(chosen_contenders(studies.home, names, trials))


def test_studies_that_share_folds_are_compared_fold_by_fold(studies):
    studies.study("weak", WEAK)
    studies.study("strong", STRONG)
    found = compared(studies, "weak", "strong")
    [pair] = found.pairs
    assert [entry.label for entry in found.entries] == ["strong", "weak"]
    assert pair.paired
    assert pair.difference == corrected_difference(STRONG, WEAK, test_share=1 / 4)
    assert pair.holm_p == pair.difference.p
    assert found.notes == () or "McNemar" in " ".join(found.notes)


def test_an_entry_has_the_means_of_its_folds_and_what_the_trial_cost(studies):
    study = studies.begin("strong")
    complete(study, 0, STRONG, train_seconds=77.0, scores={"latency_ms": 1.5})
    studies.write(study)
    studies.study("weak", WEAK)
    entry = compared(studies, "weak", "strong").entries[0]
    assert entry.folds == tuple(STRONG)
    assert entry.score == pytest.approx(0.91)
    assert entry.spread == pytest.approx(np.std(STRONG, ddof=1))
    assert entry.scores == pytest.approx({"accuracy": 0.91, "macro_f1": 0.90, "loss": 0.39})
    assert (entry.train_seconds, entry.model_parameters) == (77.0, 504_342)
    assert entry.latency_ms == 1.5


@pytest.mark.parametrize("change", ["folds", "dataset"])
def test_studies_whose_folds_differ_are_compared_unpaired_and_it_says_so(studies, change):
    studies.study("strong", STRONG)
    other = {"folds_digest": "99" * 32} if change == "folds" else {}
    scores = WEAK if change == "folds" else WEAK[:3]
    studies.study("weak", scores, **(other or {"folds_digest": "98" * 32}))
    found = compared(studies, "strong", "weak")
    [pair] = found.pairs
    assert not pair.paired
    assert (pair.mcnemar, pair.wilcoxon_p, found.ranking) == (None, None, None)
    share = 1 / (len(scores) - 1)
    assert pair.difference == unpaired_difference(
        STRONG, scores, first_share=1 / 4, second_share=share
    )
    assert any("compared unpaired" in note for note in found.notes)


@pytest.mark.slow
def test_three_are_ranked_and_their_pairs_corrected(studies):
    for name, scores in (("a", WEAK), ("b", STRONG), ("c", MIDDLE)):
        studies.study(name, scores)
    found = compared(studies, "a", "b", "c")
    assert [e.label for e in found.entries] == ["b", "c", "a"]
    assert [(p.first, p.second) for p in found.pairs] == [(0, 1), (0, 2), (1, 2)]
    expected = holm([pair.difference.p for pair in found.pairs])
    assert [pair.holm_p for pair in found.pairs] == expected
    assert found.ranking.ranks == pytest.approx((1.4, 1.6, 3.0))


def test_one_of_three_with_other_folds_is_unpaired_alone(studies):
    studies.study("a", WEAK)
    studies.study("b", STRONG)
    studies.study("c", MIDDLE, folds_digest="99" * 32)
    found = compared(studies, "a", "b", "c")
    assert [(p.first, p.second, p.paired) for p in found.pairs] == [
        (0, 1, False),
        (0, 2, True),
        (1, 2, False),
    ]
    assert found.ranking is None


def test_where_all_were_confirmed_their_further_folds_alone_are_compared(studies):
    confirmation_folds = {}
    for name, scores in (("a", STRONG), ("b", WEAK)):
        study = studies.begin(name)
        complete(study, 0, scores)
        confirmation_folds[name] = [score - 0.01 * (n % 3) for n, score in enumerate(scores * 2)]
        confirm(study, 0, confirmation_folds[name])
        studies.write(study)
    found = compared(studies, "a", "b")
    assert [entry.folds for entry in found.entries] == [
        tuple(confirmation_folds["a"]),
        tuple(confirmation_folds["b"]),
    ]
    assert found.pairs[0].difference == corrected_difference(
        *confirmation_folds.values(), test_share=1 / 4
    )
    assert found.pairs[0].wilcoxon_p == pytest.approx(2 / 2**10)
    assert any(note.startswith("Scores are those of 10 confirmation folds") for note in found.notes)


def many(studies, name="lenet", trials=9, **first):
    """Write a study of a baseline, a good trial and others between the two."""
    study = studies.begin(name, **first)
    complete(study, 0, MIDDLE, origin="baseline:plain")
    lead = [0.012, 0.008, 0.006, 0.013, 0.011]
    complete(study, 1, [score + more for score, more in zip(MIDDLE, lead, strict=True)])
    for trial in range(2, trials + 1):
        wobble = [0.004 * ((trial + n) % 3) for n in range(5)]
        complete(study, trial, [score - more for score, more in zip(MIDDLE, wobble, strict=True)])
    return study


def test_the_best_of_many_trials_is_not_claimed_where_it_would_be_if_it_were_named(studies):
    studies.write(many(studies, trials=30))
    named = compared(studies, "lenet", trials="0,1")
    assert "lenet trial 1 is better than plain by 1.00 points" in named.verdict
    assert any("count as chosen before their scores were seen" in note for note in named.notes)
    best = compared(studies, "lenet")
    assert "lenet trial 1 is better than plain" in best.verdict  # so large a lead is no luck
    assert best.entries[0].rivals == 30
    assert any("lenet trial 1 was chosen from 30 trials" in note for note in best.notes)
    study = studies.begin("other")
    complete(study, 0, MIDDLE, origin="baseline:plain")
    lead = [0.010, 0.004, 0.005, 0.009, 0.007]
    complete(study, 1, [score + more for score, more in zip(MIDDLE, lead, strict=True)])
    for trial in range(2, 31):  # stopped early; each might have been the best
        study.start_trial(trial)
        study.fold(trial, 1, epochs=1)
        study.end_trial(trial, "pruned")
    studies.write(study)
    assert "is better" in compared(studies, "other", trials="0,1").verdict
    assert "can be claimed" in compared(studies, "other").verdict


def test_other_tests_of_a_chosen_trial_are_raised_for_the_number_it_was_chosen_from(studies):
    studies.write(many(studies, trials=9))
    for trial in (0, 1):
        studies.predict("lenet", trial, [[True] * (6 + 4 * trial) + [False] * (4 - 4 * trial)] * 5)
    named, best = (compared(studies, "lenet", trials=which) for which in ("1,0", "best"))
    assert best.pairs[0].mcnemar.p == pytest.approx(9 * named.pairs[0].mcnemar.p)
    assert best.pairs[0].mcnemar.p < 0.05


def test_ranks_of_a_chosen_trial_allow_for_it(studies):
    study = many(studies, trials=9)
    complete(study, 10, WEAK, origin="baseline:old")
    studies.write(study)
    named, best = (compared(studies, "lenet", trials=which) for which in ("1,0,10", "best"))
    assert named.ranking == rank([entry.folds for entry in named.entries])
    assert best.ranking == rank([entry.folds for entry in best.entries], choices=9)


def test_a_best_that_was_confirmed_meets_the_baselines_that_were(studies):
    study = many(studies, trials=9)
    complete(study, 10, WEAK, origin="baseline:old")
    studies.write(study)
    assert [e.label for e in compared(studies, "lenet").entries] == [
        "lenet trial 1",
        "plain",
        "old",
    ]
    for trial, level in ((0, 0.89), (1, 0.92)):
        confirm(study, trial, [level + 0.002 * (n % 2 + trial * (n % 3)) for n in range(10)])
    studies.write(study)
    found = compared(studies, "lenet")
    assert [entry.label for entry in found.entries] == ["lenet trial 1", "plain"]
    assert found.pairs[0].difference.folds == 10
    assert "is better than plain" in found.verdict
    assert any("old was not confirmed and is left out" in note for note in found.notes)
    assert any("part of a trial's luck remains in them" in note for note in found.notes)


def test_bests_of_studies_on_other_folds_allow_for_their_choice_too(studies):
    studies.write(many(studies, "a", trials=9))
    studies.study("b", WEAK, folds_digest="99" * 32)
    [pair] = compared(studies, "a", "b").pairs
    best = compared(studies, "a", "b").entries[0].folds
    assert pair.difference == unpaired_difference(
        best, WEAK, first_share=1 / 4, second_share=1 / 4, choices=(Choice(10), NAMED)
    )


@pytest.mark.parametrize("why", ["one was not", "another seed"])
def test_further_folds_are_left_out_where_they_are_not_the_same(studies, why):
    study = studies.begin("a")
    complete(study, 0, STRONG)
    confirm(study, 0, [0.7] * 10)
    studies.write(study)
    study = studies.begin("b", settings={"seed": 1 if why == "another seed" else 0})
    complete(study, 0, WEAK)
    if why == "another seed":
        confirm(study, 0, [0.7] * 10)
    studies.write(study)
    found = compared(studies, "a", "b")
    assert [len(entry.folds) for entry in found.entries] == [5, 5]
    assert any("left out" in note and "Confirmation" in note for note in found.notes)


def test_mcnemars_test_reads_the_out_of_fold_predictions(studies):
    studies.study("a", STRONG)
    studies.study("b", WEAK)
    studies.predict("a", 0, [[True, True, True, False]] * 5)
    studies.predict("b", 0, [[True, False, False, True]] * 5)
    found = compared(studies, "a", "b")
    assert (found.pairs[0].mcnemar.first, found.pairs[0].mcnemar.second) == (10, 5)
    assert found.notes == ()


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "text", "shape"])
def test_a_file_of_predictions_that_cannot_be_read_is_named(studies, damage):
    studies.study("a", STRONG)
    studies.study("b", WEAK)
    right = [[True, False, True]] * 5
    studies.predict("a", 0, right)
    path = studies.predict("b", 0, right)[2]
    match damage:
        case "missing":
            path.unlink()
        case "cut":
            path.write_bytes(path.read_bytes()[:200])
        case "shape":
            names = ("labels", "predicted", "confidence", "truth")
            np.savez(path, **{name: np.zeros(3 + (name == "labels"), int) for name in names})
        case _:
            path.write_bytes(b"" if damage == "empty" else b"hello")
    found = compared(studies, "a", "b")
    assert found.pairs[0].mcnemar is None
    assert found.pairs[0].difference.p is not None
    assert found.differing_classes == ()  # equal matrices: from the journal, so no file is needed
    [note] = found.notes
    assert str(path) in note
    assert note.startswith("McNemar's test of b is left out")


def test_predictions_of_other_samples_are_not_compared(studies):
    studies.study("a", STRONG)
    studies.study("b", WEAK)
    studies.predict("a", 0, [[True, False, True]] * 5)
    studies.predict("b", 0, [[True, False]] * 5)
    found = compared(studies, "a", "b")
    assert found.pairs[0].mcnemar is None
    assert any("not of the same samples" in note for note in found.notes)


def test_where_only_mcnemars_p_is_small_a_note_says_what_that_means(studies):
    studies.study("a", STRONG)
    studies.study("b", MIDDLE)
    studies.predict("a", 0, [[True] * 10] * 5)
    studies.predict("b", 0, [[False] * 10] * 5)
    found = compared(studies, "a", "b")
    assert found.pairs[0].difference.p > 0.05
    assert any("the verdict does not use it" in note for note in found.notes)


def test_the_classes_and_pairs_that_differ_are_those_of_the_best_two(studies):
    better, worse = studies.begin("a"), studies.begin("b")
    complete(better, 0, STRONG, confusion=[[9, 1, 0], [0, 10, 0], [2, 0, 8]])
    complete(worse, 0, WEAK, confusion=[[9, 1, 0], [0, 10, 0], [0, 5, 5]])
    for study in (better, worse):
        studies.write(study)
    found = compared(studies, "b", "a")
    [cell] = found.differing_classes
    assert (cell.true, cell.predicted, cell.first, cell.second) == (2, 2, 0.8, 0.5)
    assert [(c.true, c.predicted) for c in found.differing_pairs] == [(2, 1), (2, 0)]
    assert found.differing_pairs[0].difference == pytest.approx(-0.5)
    assert found.classes == ("T-shirt/top", "Trouser", "Bag")


def test_an_objective_other_than_accuracy_is_told(studies):
    study = studies.begin("a", settings={"seed": 0, "objective": "cv_loss"})
    complete(study, 0, STRONG, value=0.4)
    studies.write(study)
    studies.study("b", WEAK)
    assert any("a by cv_loss" in note for note in compared(studies, "a", "b").notes)


def test_different_numbers_of_samples_are_told(studies):
    studies.study("a", STRONG)
    data = {"name": "digits", "digest": "ab" * 32, "classes": [], "samples": 45}
    studies.study("b", WEAK, dataset=data, folds_digest="99" * 32)
    assert any("a 90, b 45" in note for note in compared(studies, "a", "b").notes)


def test_one_contender_is_no_comparison(studies):
    studies.study("a", STRONG)
    studies.study("b", WEAK)
    with pytest.raises(ValueError, match="two contenders"):
        compare(chosen_contenders(studies.home, ["a", "b"])[:1])


def test_the_verdict_claims_a_difference_with_its_interval(studies):
    studies.study("a", STRONG)
    studies.study("b", WEAK)
    assert verdict(compared(studies, "b", "a")) == (
        "a is better than b by 6.00 points of accuracy (95 % interval 4.68 to 7.32)."
    )


def test_the_verdict_claims_none_where_the_interval_holds_zero(studies):
    studies.study("a", STRONG)
    studies.study("b", MIDDLE)
    found = verdict(compared(studies, "a", "b"))
    assert found.startswith(
        "No difference between a and b can be claimed: a is 0.50 points of accuracy ahead (95 %"
        " interval -"
    )


def test_the_verdict_on_one_fold_says_what_to_do(studies):
    studies.study("a", [0.9])
    studies.study("b", [0.8])
    found = compared(studies, "a", "b")
    assert "one fold has no spread" in verdict(found)
    assert "--folds 5" in verdict(found)
    assert found.entries[0].spread is None
    studies.study("c", [0.7])
    found = compared(studies, "a", "b", "c")
    assert "no difference to b or c can be claimed: one fold" in verdict(found)
    assert found.ranking is None


def test_the_verdict_on_equal_scores_is_no_difference(studies):
    studies.study("a", STRONG)
    studies.study("b", STRONG)
    assert "can be claimed: 0 points" in verdict(compared(studies, "a", "b"))


def test_the_verdict_on_three_names_the_best_and_those_it_can_be_told_from(studies):
    for name, scores in (("a", WEAK), ("b", STRONG), ("c", MIDDLE)):
        studies.study(name, scores)
    assert verdict(compared(studies, "a", "b", "c")) == (
        "b has the highest mean accuracy, 0.9100, and is better than a; no difference to c can be"
        " claimed."
    )
    assert verdict(compared(studies, "a", "b", "c")) == verdict(compared(studies, "c", "b", "a"))


def test_the_verdict_on_three_goes_by_the_corrected_p(studies):
    for name, scores in (("a", STRONG), ("b", MIDDLE), ("c", WEAK)):
        studies.study(name, scores)
    found = compared(studies, "a", "b", "c")
    weaker = tuple(replace(pair, holm_p=0.06) for pair in found.pairs)
    assert all(pair.difference.p < 0.05 for pair in weaker if pair.second == 2)
    assert verdict(replace(found, pairs=weaker)).endswith(
        "but no difference to b or c can be claimed."
    )
    sure = tuple(replace(pair, holm_p=0.04) for pair in found.pairs)
    assert verdict(replace(found, pairs=sure)).endswith("and is better than b and c.")


def test_the_document_is_json_and_has_everything(studies):
    study = studies.begin("a")
    complete(study, 0, STRONG)
    study.records[:] = [
        replace(r, loss=float("nan")) if type(r).__name__ == "FoldEnded" else r
        for r in study.records
    ]
    for name, scores in (("b", MIDDLE), ("c", WEAK)):
        studies.study(name, scores)
    found = document(compared(studies, studies.write(study), "b", "c"))
    parsed = json.loads(json.dumps(found, allow_nan=False))
    assert parsed["entries"][0]["loss"] is None
    assert parsed["entries"][1]["folds"] == MIDDLE
    assert (parsed["pairs"][0]["first"], parsed["pairs"][0]["second"]) == ("a", "b")
    assert parsed["pairs"][1]["claimed"] is True
    assert set(parsed["friedman"]["ranks"]) == {"a", "b", "c"}
    assert parsed["verdict"].startswith("a has the highest")
    assert parsed["dataset"] == "digits"


def test_the_share_of_validation_samples_is_that_of_the_folds(studies):
    split = {"share": 0.4, "validated": 75, "repeats": 1.0}
    studies.study("weak", WEAK, split=split)
    studies.study("strong", STRONG, split=split)
    studies.study("others", MIDDLE, folds_digest="99" * 32)
    found = compared(studies, "weak", "strong", "others")
    pairs = {(found.entries[p.first].label, found.entries[p.second].label): p for p in found.pairs}
    expected = corrected_difference(STRONG, WEAK, test_share=0.4)
    assert pairs["strong", "weak"].difference == expected
    unpaired = unpaired_difference(STRONG, MIDDLE, first_share=0.4, second_share=0.25)
    assert pairs["strong", "others"].difference == unpaired


def test_of_repeated_folds_mcnemars_test_takes_each_sample_once(studies):
    start = {
        "split": {"share": 0.5, "validated": 12, "repeats": 2.0},
        "settings": {"seed": 0, "epochs": 3, "sampler": "tpe", "split": "repeated:2"},
    }
    studies.study("a", [*STRONG, 0.9], **start)
    studies.study("b", [*WEAK, 0.8], **start)
    studies.predict("a", 0, [[True, True, True, False]] * 6)
    studies.predict("b", 0, [[True, False, False, True]] * 6)
    [pair] = compared(studies, "a", "b").pairs
    assert (pair.mcnemar.first, pair.mcnemar.second) == (6, 3)
    assert pair.difference == corrected_difference([*STRONG, 0.9], [*WEAK, 0.8], test_share=0.5)


def test_where_some_samples_are_validated_repeatedly_mcnemars_test_is_left_out(studies):
    start = {"split": {"share": 0.5, "validated": 12, "repeats": 1.4, "splitter": "ShuffleSplit()"}}
    for name, scores in (("a", STRONG), ("b", WEAK)):
        studies.study(name, scores, **start)
        studies.predict(name, 0, [[True, False, True]] * 5)
    found = compared(studies, "a", "b")
    assert found.pairs[0].mcnemar is None
    assert any("its folds validate some samples more than once" in note for note in found.notes)
