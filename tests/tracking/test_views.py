import json
from urllib.parse import parse_qsl

import pytest

from tests.studies import MultiLabelStudyBuilder, RegressionStudyBuilder
from tracking.mlflow.views import (
    BEST,
    COMPARE,
    TAG_PREFIX,
    comparison_path,
    decode_view,
    view_path,
    view_tags,
)
from tracking.objectives import OBJECTIVES


@pytest.fixture
def views(study):
    compared(study)
    return {
        key.removeprefix(TAG_PREFIX): decode_view(value)
        for key, value in view_tags(study.history).items()
    }


def compared(study):
    """Give a study two complete trials with all parameters; return it."""
    study.session()
    study.complete_trial(1)
    study.complete_trial(3)
    return study


def test_the_views_are_named_for_people(views):
    assert {key: name for key, (name, _) in views.items()} == {
        BEST: "Best trials first",
        COMPARE: "Compare",
    }


def test_both_show_trials_alone_the_best_first(views):
    for _, state in views.values():
        assert state["searchFilter"] == "tags.`search.kind` = 'trial'"
        assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`cv_accuracy`", False)


def test_the_table_has_state_scores_and_searched_parameters(views):
    columns = views[BEST][1]["selectedColumns"]
    assert columns[:2] == ["tags.`search.state`", "metrics.`cv_accuracy`"]
    assert {"params.`filters`", "params.`extra`", "params.`more`"} <= set(columns)
    assert "params.`batch_size`" not in columns  # fixed: the same in every trial
    assert set(columns) <= set(views[BEST][1]["columnOrder"])


def test_a_large_space_does_not_flood_the_table(new_study):
    study = new_study()
    extra = ({"name": f"p{n}", "searched": True, "when": None} for n in range(100))
    study.records[0].parameters.extend(extra)
    state = views_of(study)[0]
    assert len(state["selectedColumns"]) <= 30


def test_the_first_parallel_chart_leaves_out_conditional_parameters(views):
    charts = [c for c in views[COMPARE][1]["compareRunCharts"] if c["type"] == "PARALLEL"]
    assert [c["selectedParams"] for c in charts] == [
        ["filters", "extra"],
        ["filters", "extra", "more"],
    ]
    assert all(c["selectedMetrics"] == ["cv_accuracy"] for c in charts)


def test_compare_shows_curves_scores_and_confusion_matrices(views):
    shown = [c for c in views[COMPARE][1]["compareRunCharts"] if not c["deleted"]]
    assert [c.get("metricKey") for c in shown if c["type"] == "LINE"] == [
        "val_accuracy",
        "val_loss",
    ]
    assert [c["metricKey"] for c in shown if c["type"] == "BAR"] == ["cv_accuracy"]
    assert [c["imageKeys"] for c in shown if c["type"] == "IMAGE"] == [["confusion_matrix"]]


def test_every_chart_belongs_to_a_section(views):
    state = views[COMPARE][1]
    sections = {section["uuid"] for section in state["compareRunSections"]}
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == sections


def test_compare_opens_on_the_curves_and_parameters_have_the_whole_width(views):
    state = views[COMPARE][1]
    width = {section["uuid"]: section["columns"] for section in state["compareRunSections"]}
    shown = [c for c in state["compareRunCharts"] if not c["deleted"]]
    assert list(width).index(shown[0]["metricSectionId"]) == 0
    assert [c["type"] for c in shown[:2]] == ["LINE", "LINE"]
    assert {width[c["metricSectionId"]] for c in shown if c["type"] == "PARALLEL"} == {1}


def test_where_trials_are_pruned_a_chart_shows_how_far_each_came(new_study):
    study = compared(new_study())
    study.records[0].settings["pruner"] = "racing"
    state = views_of(study)[1]
    [chart] = [
        c for c in state["compareRunCharts"] if c.get("selectedMetrics") == ["epochs_trained"]
    ]
    assert chart["selectedParams"] == ["filters", "extra"]
    [section] = [s for s in state["compareRunSections"] if s["uuid"] == chart["metricSectionId"]]
    assert section["columns"] == 1
    study.records[0].settings["pruner"] = "none"
    assert len(views_of(study)[1]["compareRunSections"]) == len(state["compareRunSections"]) - 1


def test_a_chart_that_compares_trials_waits_for_the_second_one_it_can_show(study):
    def shown():
        charts = views_of(study)[1]["compareRunCharts"]
        return [c["type"] for c in charts if not c["deleted"] and c["type"] in ("PARALLEL", "BAR")]

    study.session()
    assert shown() == []
    study.complete_trial(0)
    assert shown() == []
    study.complete_trial(1)  # the first with a conditional parameter
    assert shown() == ["PARALLEL", "BAR"]
    study.complete_trial(3)
    assert shown() == ["PARALLEL", "PARALLEL", "BAR"]


def test_how_far_trials_came_is_drawn_from_the_second_one_that_is_over(study):
    study.records[0].settings["pruner"] = "racing"
    study.session()
    ends = []
    for trial in (0, 2):
        study.start_trial(trial)
        study.fold(trial, 1, epochs=1)
        study.end_trial(trial, "pruned")
        charts = views_of(study)[1]["compareRunCharts"]
        ends.append(sum(c.get("selectedMetrics") == ["epochs_trained"] for c in charts))
    assert ends == [0, 1]


def test_no_chart_is_added_by_mlflow_while_ours_wait(study):
    charts = views_of(study)[1]["compareRunCharts"]
    assert "cv_accuracy" in [c["metricKey"] for c in charts if c["deleted"]]


def test_charts_have_distinct_keys(views):
    keys = [chart["uuid"] for chart in views[COMPARE][1]["compareRunCharts"]]
    assert len(keys) == len(set(keys))


def test_tags_stay_within_what_mlflow_takes(study):
    assert all(len(value) < 5000 for value in view_tags(compared(study).history).values())


@pytest.mark.parametrize(("view", "mode"), [(BEST, "TABLE"), (COMPARE, "CHART")])
def test_the_link_opens_the_view_on_the_page_for_models(view, mode):
    path = view_path("7", view)
    assert path.startswith("/#/experiments/7/runs?workflowType=machine_learning&")
    assert f"compareRunsMode={mode}" in path
    assert path.endswith(f"viewStateShareKey={view}")


@pytest.mark.parametrize(
    ("objective", "ascending"), [("cv_accuracy", "false"), ("cv_loss", "true")]
)
def test_two_studies_open_side_by_side_the_best_trial_of_either_first(objective, ascending):
    path = comparison_path(["2", "1"], OBJECTIVES[objective])
    page, _, query = path.partition("?")
    assert page == "/#/compare-experiments/s"
    told = dict(parse_qsl(query))
    assert told["experiments"] == '["2","1"]'
    assert told["searchFilter"] == "tags.`search.kind` = 'trial'"
    assert (told["orderByKey"], told["orderByAsc"]) == (f"metrics.`{objective}`", ascending)


def test_a_view_packed_in_another_way_is_refused():
    with pytest.raises(ValueError, match="'zip'"):
        decode_view(json.dumps({"name": "x", "state": "zip;abc"}))


def views_of(study):
    tags = view_tags(study.history)
    return [decode_view(tags[TAG_PREFIX + key])[1] for key in (BEST, COMPARE)]


def test_a_loss_is_sorted_from_the_smallest(new_study):
    for state in views_of(new_study(objective="cv_loss")):
        assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`cv_loss`", True)


def test_two_objectives_have_columns_and_share_the_charts(new_study):
    table, charts = views_of(compared(new_study(objective="macro_f1,latency_ms")))
    assert table["selectedColumns"][:4] == [
        "tags.`search.state`",
        "tags.`search.front`",
        "metrics.`macro_f1`",
        "metrics.`latency_ms`",
    ]
    assert len(set(table["selectedColumns"])) == len(table["selectedColumns"])
    shown = [c for c in charts["compareRunCharts"] if not c["deleted"]]
    [scatter] = [c for c in shown if c["type"] == "SCATTER"]
    assert (scatter["xaxis"]["key"], scatter["yaxis"]["key"]) == ("latency_ms", "macro_f1")
    parallel = [c["selectedMetrics"] for c in shown if c["type"] == "PARALLEL"]
    assert parallel == [["latency_ms", "macro_f1"]] * 2  # the last gives the colours
    lines = [c["metricKey"] for c in shown if c["type"] == "LINE"]
    assert lines == ["val_macro_f1", "val_accuracy", "val_loss"]
    bars = [c["metricKey"] for c in shown if c["type"] == "BAR"]
    assert bars == ["macro_f1", "latency_ms"]


def test_confirmed_scores_have_a_column_where_there_are_any(study):
    compared(study)
    assert "metrics.`confirmed_accuracy`" not in views_of(study)[0]["selectedColumns"]
    study.confirm_trial(1)
    columns = views_of(study)[0]["selectedColumns"]
    assert columns[:4] == [
        "tags.`search.state`",
        "metrics.`cv_accuracy`",
        "metrics.`confirmed_accuracy`",
        "tags.`search.best`",
    ]


def test_the_views_of_two_objectives_stay_within_what_mlflow_takes(new_study):
    study = new_study(objective="macro_f1,latency_ms")
    compared(study).confirm_trial(1)
    assert all(len(value) < 5000 for value in view_tags(study.history).values())


def test_the_spread_of_an_objective_stands_beside_it(new_study):
    (_, best), _ = map(
        decode_view, view_tags(new_study(objective="macro_f1,latency_ms").history).values()
    )
    metrics = [n.split("`")[1] for n in best["selectedColumns"] if n.startswith("metrics")]
    assert metrics[:3] == ["macro_f1", "latency_ms", "macro_f1_std"]


@pytest.mark.parametrize(
    ("builder", "scores", "curves", "key"),
    [
        (
            RegressionStudyBuilder,
            ["cv_rmse", "cv_rmse_std", "cv_mae", "cv_r2"],
            ["val_rmse", "val_loss"],
            "predictions",
        ),
        (
            MultiLabelStudyBuilder,
            ["cv_macro_f1", "cv_macro_f1_std", "cv_exact_match", "cv_hamming_loss"],
            ["val_macro_f1", "val_loss"],
            "confusion_matrix",
        ),
    ],
)
def test_another_tasks_columns_and_charts_are_of_its_own_metrics(builder, scores, curves, key):
    (_, best), (_, compare) = map(decode_view, view_tags(builder().history).values())
    metrics = [n.split("`")[1] for n in best["selectedColumns"] if n.startswith("metrics")]
    assert metrics[: len(scores)] == scores
    shown = [chart for chart in compare["compareRunCharts"] if not chart["deleted"]]
    assert [c["metricKey"] for c in shown if c["type"] == "LINE"] == curves
    [images] = [chart for chart in shown if chart["type"] == "IMAGE"]
    assert images["imageKeys"] == [key]
    assert "accuracy" not in json.dumps([best, compare])
