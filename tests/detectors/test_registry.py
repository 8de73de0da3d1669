"""Names of detectors."""

import dataclasses
import subprocess
import sys

import pandas as pd
import pytest

from ganfp_tf.config import Config
from ganfp_tf.detectors import registry
from ganfp_tf.detectors.registry import DETECTORS, make_detector, parse_detectors
from ganfp_tf.detectors.shadows.folders import Shadow
from ganfp_tf.errors import UserError

CLASSICAL = [name for name, entry in DETECTORS.items() if entry.make]
CONFIG = Config(shadow="somewhere", copy_steps=7, copy_mix=0.2, training_seed=5)


@pytest.fixture(autouse=True)
def shadows(monkeypatch):
    """A shadow generator, whatever --shadow names."""
    shadow = Shadow("somewhere", pd.DataFrame({"digest": ["d"]}))
    monkeypatch.setattr(registry, "opened", lambda config: (shadow,))
    return (shadow,)


@pytest.mark.parametrize("name", CLASSICAL)
def test_every_detector_is_frozen_and_keeps_the_protocol(name):
    detector = make_detector(name, CONFIG)
    assert detector.name == name
    assert detector.title
    assert isinstance(detector.uses_labels, bool)
    assert detector.uses_labels == DETECTORS[name].uses_labels
    with pytest.raises(dataclasses.FrozenInstanceError):
        detector.name = "other"


def test_the_blind_ones_are_the_controls():
    controls = [name for name, entry in DETECTORS.items() if entry.control]
    assert controls == ["blind_pixels", "blind_classifier"]


def test_titles_differ():
    assert len({entry.title(CONFIG) for entry in DETECTORS.values()}) == len(DETECTORS)


def test_the_settings_of_the_command_reach_the_networks(shadows):
    for name in ("nearest_copies", "shadow_nearest_copies"):
        detector = make_detector(name, CONFIG)
        recipe = dict(getattr(detector, "base", detector).space.recipe)
        assert (recipe["steps"], recipe["mix"], recipe["seed"]) == (7, 0.2, 5)
    assert make_detector("shadow_nearest_pixels", CONFIG).shadows == shadows


def test_those_without_a_network_are_the_classical_ones():
    shown = parse_detectors("classical")
    assert "calibrated_pixels" in shown
    assert "classifier" in shown
    assert not {"siamese_random", "nearest_copies", "comparator", "stack"} & set(shown)
    more = parse_detectors("classical", "somewhere")
    assert set(more) - set(shown) == {
        "shadow_nearest_pixels",
        "shadow_nearest_blur1",
        "shadow_nearest_components",
        "shadow_hits_pixels",
    }


def test_what_needs_shadows_asks_for_them():
    with pytest.raises(UserError, match=r"shadow_stack needs shadow generators: say --shadow=PATH"):
        parse_detectors("nearest_pixels,shadow_stack")
    assert parse_detectors("shadow_stack", "somewhere") == ["shadow_stack"]
    assert parse_detectors("all", "somewhere") == list(DETECTORS)


def test_a_siamese_network_is_a_run():
    names = set(DETECTORS) - set(CLASSICAL)
    assert names == {"siamese_random", "siamese_nearest"}
    for name in names:
        assert Config(**DETECTORS[name].run).pairing == name.removeprefix("siamese_")
        with pytest.raises(UserError, match=f"{name} is a Siamese network: train it with --mode"):
            make_detector(name)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("all", [name for name, entry in DETECTORS.items() if not entry.shadow]),
        ("hits_pixels", ["hits_pixels"]),
        (" hits_pixels , nearest_pixels,", ["hits_pixels", "nearest_pixels"]),
    ],
)
def test_names_separated_by_commas(text, names):
    assert parse_detectors(text) == names


def test_groups_hold_each_other():
    fast, classical, all_of_them = (set(parse_detectors(t)) for t in ("fast", "classical", "all"))
    assert fast < classical < all_of_them
    assert classical - fast == {"classifier", "keypoints", "nearest_encoder", "hits_encoder"}
    assert not any(DETECTORS[name].network for name in classical)
    assert {"fast_mean", "fast_stack", "blind_pixels"} <= fast


@pytest.mark.parametrize(
    "text", ["", " ,", "hits_pixels,hits_pixels", "all,hits_pixels", "hits_pixels,classical"]
)
def test_each_once_and_all_alone(text):
    with pytest.raises(
        UserError, match="must be fast, classical or all, or name at least one detector and each"
    ):
        parse_detectors(text)


@pytest.mark.parametrize("read", [make_detector, parse_detectors])
def test_an_unknown_name_gets_the_nearest_and_the_list(read):
    with pytest.raises(UserError, match=r"'hit_pixel'\. Did you mean hits_pixels\? Expected near"):
        read("hit_pixel")
    with pytest.raises(UserError, match=r"no detector 'zzz'\. Expected nearest_pixels, "):
        read("zzz")


def test_tensorflow_is_not_imported():
    code = (
        "import sys; import ganfp_tf.detectors.registry, ganfp_tf.detectors.cross_fitting; "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
