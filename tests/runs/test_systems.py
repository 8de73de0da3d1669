"""What a comparison runs."""

import dataclasses

import pytest

from ganfp_tf.config import Config
from ganfp_tf.errors import UserError
from ganfp_tf.runs.systems import full_system, parse_systems, plan


def test_the_papers_six_systems_in_order():
    systems = plan(Config(mode="compare", seed=3))
    assert [system.title for system in systems] == [
        "ResNet50",
        "EfficientNetB2",
        "DenseNet161",
        "ViT",
        "ResNet50 + CA",
        "DenseNet161 + CA",
    ]
    assert [(s.config.backbone, s.config.cross_attention) for s in systems] == [
        ("resnet50", False),
        ("efficientnetb2", False),
        ("densenet161", False),
        ("vit_b16", False),
        ("resnet50", True),
        ("densenet161", True),
    ]
    # They differ in nothing else.
    same = {dataclasses.replace(s.config, backbone="tiny", cross_attention=False) for s in systems}
    assert same == {Config(seed=3, backbone="tiny", saved_model=False)}
    assert not any(system.ablates for system in systems)


def test_an_ablation_differs_from_the_full_system_in_one_thing():
    systems = plan(Config(mode="compare", ablate=True, seed=7))
    full = full_system(systems)
    assert full.name == "resnet50_ca"
    ablations = [system for system in systems if system.ablates]
    changes = {}
    for system in ablations:
        assert system.ablates == "resnet50_ca"
        changed = {
            name: value
            for name, value in system.config.to_dict().items()
            if value != getattr(full.config, name)
        }
        assert len(changed) == 1, system.name
        changes[system.name.removeprefix("resnet50_ca-")] = changed
    # "Without cross-attention" is the system resnet50 and is not run twice.
    shared = {system.name: system.same_as for system in ablations if system.same_as}
    assert shared == {"resnet50_ca-no_ca": "resnet50"}
    assert changes == {
        "similarity_dot": {"similarity": "dot"},
        "similarity_difference": {"similarity": "difference"},
        "no_ca": {"cross_attention": False},
        "pairing_nearest": {"pairing": "nearest"},
        **{f"seed_{seed}": {"training_seed": seed} for seed in (8, 9, 10, 11)},
    }


def test_ablations_are_those_that_the_settings_leave():
    config = Config(
        mode="compare",
        ablate=True,
        systems="tiny_ca",
        pairing="nearest",
        similarity="dot",
        training_seed=2**31 - 1,
    )
    assert not any(system.same_as for system in plan(config))
    names = [system.name.removeprefix("tiny_ca") for system in plan(config)]
    assert names == [
        "",
        "-similarity_difference",
        "-similarity_both",
        "-no_ca",
        "-pairing_random",
        "-seed_0",
        "-seed_1",
        "-seed_2",
        "-seed_3",
    ]


def test_blanks_between_systems_do_not_count():
    assert parse_systems(" tiny , tiny_ca,") == [("tiny", False), ("tiny", True)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            dict(systems="resnet51"),
            r"there is no system 'resnet51'.*_ca for cross-attention.*resnet50",
        ),
        (dict(systems="_ca"), "there is no system '_ca'"),
        (dict(systems=" ,"), "at least one system.*Received: ' ,'"),
        (dict(systems="tiny,tiny"), "each once"),
        (dict(systems="tiny", ablate=True), "Expected one in --systems, such as tiny_ca"),
        (dict(weights="a.h5"), "auto, imagenet, none, or a folder.*Received: 'a.h5'"),
    ],
)
def test_what_cannot_be_compared_is_named(settings, message):
    with pytest.raises(UserError, match=message):
        plan(Config(mode="compare", **settings))


def test_a_folder_of_weights_has_a_file_for_each_backbone(tmp_path):
    for name in ("tiny.weights.h5", "resnet50.h5"):
        (tmp_path / name).touch()
    config = Config(mode="compare", systems="tiny,resnet50_ca", weights=str(tmp_path))
    assert [system.config.weights for system in plan(config)] == [
        str(tmp_path / "tiny.weights.h5"),
        str(tmp_path / "resnet50.h5"),
    ]
    (tmp_path / "tiny.keras").touch()
    with pytest.raises(UserError, match=r"one file called tiny.*Found: tiny.keras, tiny.weights"):
        plan(config)
    (tmp_path / "resnet50.h5").unlink()
    with pytest.raises(UserError, match=r"such as resnet50.h5.*Found: none"):
        plan(dataclasses.replace(config, systems="resnet50"))
