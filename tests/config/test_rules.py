import dataclasses

import pytest

from ganfp_tf.config import MODES, Config
from ganfp_tf.config.rules import check_rules
from ganfp_tf.errors import UserError

FIELDS = {field.name: field for field in dataclasses.fields(Config)}


def conditions():
    """(name, condition) of every setting that depends on another one."""
    return [
        (name, field.metadata[key])
        for name, field in FIELDS.items()
        for key in ("needs", "without")
        if field.metadata[key]
    ]


def test_rules_name_modes_and_settings_that_exist():
    for field in FIELDS.values():
        for entry in field.metadata["modes"]:
            mode, _, flag = entry.partition(" --")
            assert mode in MODES
            assert not flag or flag in FIELDS
    for _, condition in conditions():
        name, _, value = condition.flag.partition("=")
        assert not value or value in FIELDS[name].metadata["choices"]
        assert set(condition.modes) <= set(MODES)


@pytest.mark.parametrize("mode", MODES)
def test_defaults_break_no_rule(mode):
    check_rules(Config(mode=mode))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fdr": 0.1}, "--fdr goes with --mode=audit."),
        ({"fdr": 0.1, "suspects": "x"}, "--suspects and --fdr go with --mode=audit."),
        ({"mode": "audit", "shadow": "x", "reference": "x"}, "--reference goes with --suspects."),
        ({"mode": "predict", "runner": "x"}, "--runner goes with --beam."),
        ({"mode": "export", "saved_model": False}, "--nosaved_model goes with --mode=train."),
        ({"mode": "benchmark", "speed_backbones": "tiny"}, "goes with --measure=speed."),
        (
            {"mode": "simulate", "detectors": "all"},
            "--detectors goes with --mode=audit, --mode=benchmark, or --mode=simulate --grid.",
        ),
        ({"mode": "simulate", "shadows": 2, "members": 9}, "--members decide a victim's data set"),
        (
            {"supervision": "copy", "finetune": "all", "epochs": 9},
            "--epochs decide how pairs with labels are drawn",
        ),
    ],
)
def test_a_setting_that_would_do_nothing_is_named(settings, message):
    with pytest.raises(UserError) as caught:
        check_rules(Config(**settings))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "audit", "suspects": "x", "reference": "y"},
        {"mode": "simulate", "grid": "seed=0", "detectors": "all"},
        {"mode": "evaluate", "predictions": "x", "truth": "y"},
        {"mode": "audit", "supervision": "copy", "finetune": "all", "epochs": 9},
        {"mode": "audit", "copy_steps": 9},
    ],
)
def test_a_setting_that_is_read_passes(settings):
    check_rules(Config(**settings))
