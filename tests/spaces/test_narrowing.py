from dataclasses import replace

import pytest

from spaces import SpaceError, get_space, narrow

LENET = get_space("lenet")


def test_one_value_fixes_a_parameter():
    narrowed = narrow(LENET, {"conv_1_filters": "40", "extra_conv": "on", "optimizer": "sgd"})
    params = narrowed.space.complete({})
    assert params["conv_1_filters"] == 40
    assert params["extra_conv"] is True
    assert params["optimizer"] == "sgd"
    searched = {parameter.name for parameter in narrowed.space.searched()}
    assert not searched & {"conv_1_filters", "extra_conv", "optimizer"}


def test_a_range_narrows_and_keeps_scale_and_step():
    rate = narrow(LENET, {"learning_rate": "5e-4:2e-3"}).space["learning_rate"]
    assert rate.describe() == "0.0005..0.002 log"
    assert rate.default == 1e-3
    dropout = narrow(LENET, {"dropout": "0.1:0.3"}).space["dropout"]
    assert dropout.describe() == "0.1..0.3 step 0.05"
    assert dropout.default == 0.1


def test_a_list_is_a_choice_of_values():
    filters = narrow(LENET, {"conv_1_filters": "32, 48,64"}).space["conv_1_filters"]
    assert filters.grid() == (32, 48, 64)


def test_a_range_frees_a_training_choice_that_is_fixed_by_default():
    assert LENET["batch_size"].fixed
    assert not narrow(LENET, {"batch_size": "32,64,128"}).space["batch_size"].fixed
    assert not narrow(LENET, {"epochs": "2:5"}).space["epochs"].fixed


def test_a_condition_survives_narrowing():
    for text in ("64", "64,128", "40:50"):
        parameter = narrow(LENET, {"conv_2_filters": text}).space["conv_2_filters"]
        assert parameter.when == ("extra_conv", True)


def test_baselines_outside_the_narrowed_space_are_set_aside_with_the_reason():
    narrowed = narrow(LENET, {"conv_1_filters": "40:48"})
    assert set(narrowed.baselines) == {"keras-tuner"}
    assert "`conv_1_filters` must be within 40..48; got 32" in narrowed.skipped["lenet5"]


def test_a_fixed_value_is_put_into_the_baselines_that_state_another():
    narrowed = narrow(get_space("mlp"), {"dropout": "0.2", "batch_size": "64"})
    assert list(narrowed.baselines) == ["small, dropout=0.2", "small-tuned, dropout=0.2"]
    assert {params["dropout"] for params in narrowed.baselines.values()} == {0.2}
    assert narrowed.baselines["small, dropout=0.2"]["units_1"] == 128
    assert narrowed.adapted == {name.partition(",")[0]: name for name in narrowed.baselines}
    assert not narrowed.skipped


def test_what_a_fixed_value_makes_inactive_leaves_the_baseline():
    narrowed = narrow(LENET, {"extra_conv": "off"})
    name = "keras-tuner, extra_conv=off"
    assert list(narrowed.baselines) == ["lenet5", name]
    assert "conv_2_filters" not in narrowed.baselines[name]


def test_baselines_that_fixed_values_make_equal_are_evaluated_once():
    stated = {"a": {"units_1": 64}, "b": {"units_1": 32}}
    narrowed = narrow(replace(get_space("mlp"), baselines=stated), {"units_1": "40"})
    assert list(narrowed.baselines) == ["a, units_1=40"]
    assert narrowed.skipped == {"b": "it has the same params as a, units_1=40"}


def test_a_range_without_a_baselines_value_leaves_it_out_whatever_else_is_fixed():
    narrowed = narrow(get_space("mlp"), {"dropout": "0.2", "units_1": "100:200"})
    assert list(narrowed.baselines) == ["small, dropout=0.2"]
    assert list(narrowed.skipped) == ["small-tuned"]


def test_a_baseline_takes_what_it_does_not_state_from_the_study():
    assert narrow(LENET, {"epochs": "3"}).baselines["lenet5"]["epochs"] == 3


def test_all_faults_are_reported_together():
    faults = {
        "conv_1_filters": "48:40",
        "conv_1_kernel": "3:5",
        "dropout": "0.07",
        "learning_rate": "fast",
        "extra_conv": "maybe",
        "conv_2_filters": "16:64",
        "filters": "3",
    }
    with pytest.raises(SpaceError) as caught:
        narrow(LENET, faults)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(faults)
    assert "low must not be above high; write 40:48" in lines[0]
    assert "a choice has no range; name values of 3 | 5" in str(caught.value)
    assert "within 0..0.5 step 0.05; got 0.07" in str(caught.value)
    assert "lenet has no such parameter" in lines[-1]
