import dataclasses
import itertools
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganfp_tf.config import OF_VICTIMS, Config
from ganfp_tf.config.field import parse_window
from ganfp_tf.errors import UserError

FIELDS = {field.name: field for field in dataclasses.fields(Config)}
NUMBERS = [f for f in FIELDS.values() if type(f.default) in (int, float)]
# A value of another type for each type; True is an int to isinstance, 1 is a bool to many.
WRONG = {
    bool: (1, "true", None),
    int: (True, 1.0, "1", None),
    float: (1, True, "0.1", None),
    str: (1, None, ["a"], b"a"),
}


def names(fields):
    return [field.name for field in fields]


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_a_field_carries_what_flag_and_help_need(field):
    meta = field.metadata
    assert type(field.default) in (bool, int, float, str)
    assert meta["help"].endswith(".")
    assert meta["group"]
    assert meta["role"] in ("model", "data", "victim", "report", "place")
    if meta["choices"]:
        assert field.default in meta["choices"]


@pytest.mark.parametrize("field", NUMBERS, ids=names(NUMBERS))
def test_a_number_has_a_range_around_its_default(field):
    low, high = field.metadata["low"], field.metadata["high"]
    assert low is not None
    assert low <= field.default
    # A slice's index is bounded by a volume that is not known here.
    assert (high is not None and field.default <= high) or field.name == "nifti_slice"


def test_fields_of_a_group_stand_together():
    groups = [field.metadata["group"] for field in FIELDS.values()]
    changes = sum(a != b for a, b in itertools.pairwise(groups))
    assert changes == len(set(groups)) - 1


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, f in FIELDS.items() for value in WRONG[type(f.default)]],
)
def test_a_wrong_type_is_refused_by_name(name, value):
    expected = type(FIELDS[name].default).__name__
    with pytest.raises(UserError, match=rf"^--{name} must be {expected}\. Received: "):
        Config(**{name: value})


@pytest.mark.parametrize("name", [n for n, f in FIELDS.items() if f.metadata["choices"]])
def test_a_wrong_choice_is_refused_with_the_list(name):
    with pytest.raises(UserError) as caught:
        Config(**{name: "nonsense"})
    assert f"--{name} must be one of " in str(caught.value)
    assert "Received: 'nonsense'" in str(caught.value)
    for choice in FIELDS[name].metadata["choices"]:
        assert choice in str(caught.value)


def beyond(field):
    """The nearest values outside a field's range."""
    low, high = field.metadata["low"], field.metadata["high"]
    if type(field.default) is int:
        return [low - 1] + ([high + 1] if high is not None else [])
    return [math.nextafter(low, -math.inf), math.nextafter(high, math.inf), *NOT_FINITE]


NOT_FINITE = (math.nan, math.inf, -math.inf)


@pytest.mark.parametrize(
    ("name", "value"), [(field.name, value) for field in NUMBERS for value in beyond(field)]
)
def test_a_number_out_of_range_is_refused_by_name(name, value):
    with pytest.raises(UserError, match=rf"^--{name} must be at least .*Received: "):
        Config(**{name: value})


@pytest.mark.parametrize("field", NUMBERS, ids=names(NUMBERS))
def test_both_ends_of_a_range_are_allowed(field):
    for bound in (field.metadata["low"], field.metadata["high"]):
        if bound is not None:
            # --width is a multiple of --heads, whichever of the two is tried; and so on.
            other = {
                "heads": {"width": 2048},
                "width": {"heads": 1},
                "members": {"gan_batch": 2},
                "gan_batch": {"members": 4096},
            }.get(field.name, {})
            assert getattr(Config(**{field.name: bound, **other}), field.name) == bound


def test_one_fold_is_refused():
    with pytest.raises(UserError, match=r"--folds must be 0 .* or at least 2.*Received: --folds=1"):
        Config(folds=1)
    assert Config(folds=2).folds == 2


def test_width_must_be_a_multiple_of_heads():
    with pytest.raises(UserError, match="Received: --width=30 --heads=4"):
        Config(width=30, heads=4)


@pytest.mark.parametrize("pairing", ["nearest", "mixed"])
def test_attribution_draws_generated_images_at_random(pairing):
    with pytest.raises(UserError, match=f"only --pairing=random does. Received: .*={pairing}"):
        Config(supervision="attribution", pairing=pairing)
    assert Config(supervision="attribution").pairing == "random"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"domain_norm": True}, "leave --domain_norm out"),
        ({"distribute": "mirrored"}, "leave --distribute out"),
        ({"backbone": "compact"}, "--backbone=compact has no pretrained weights; .*finetune=all"),
        ({"backbone": "tiny"}, "--backbone=tiny has no pretrained weights"),
    ],
)
def test_copy_supervision_refuses_what_it_does_not_use(settings, message):
    with pytest.raises(UserError, match=message):
        Config(supervision="copy", **settings)
    for kind in ("membership", "attribution"):
        assert Config(supervision=kind, **settings).supervision == kind


def test_only_a_frozen_backbone_is_trained_on_stored_tokens():
    assert Config().trains_on_tokens
    assert not Config(finetune="all").trains_on_tokens
    assert not Config(supervision="copy").trains_on_tokens


@pytest.mark.parametrize(
    ("text", "expected"), [("-600,1500", (-600.0, 1500.0)), (" 40 , 0.5 ", (40.0, 0.5))]
)
def test_parse_window(text, expected):
    assert parse_window(text) == expected
    assert Config(window=text).window == text


@pytest.mark.parametrize("text", ["40", "1,2,3", "a,b", "40,0", "40,-1", "nan,1", "1,nan", "1,inf"])
def test_a_wrong_window_is_refused(text):
    with pytest.raises(UserError, match="--window must be CENTER,WIDTH") as caught:
        Config(window=text)
    assert repr(text) in str(caught.value)


def valid(field):
    """A strategy for the allowed values of a field."""
    kind, meta = type(field.default), field.metadata
    if kind is bool:
        return st.booleans()
    if kind is int:
        high = 10**6 if meta["high"] is None else meta["high"]
        return st.integers(meta["low"], high)
    if kind is float:
        return st.floats(meta["low"], meta["high"])
    if meta["choices"]:
        return st.sampled_from(meta["choices"])
    letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    return st.text(letters, min_size=field.name in FOLDERS, max_size=8)


def at_peace(values):
    """The same, without settings that --supervision refuses to have beside it."""
    kind = values["supervision"]
    if kind == "attribution":
        return values | {"pairing": "random"}
    if kind == "copy":
        return values | {"domain_norm": False, "distribute": "none", "finetune": "all"}
    return values


FOLDERS = ("store_dir", "phantom_dir", "real")  # never empty
CONFIGS = st.fixed_dictionaries(
    {
        **{name: valid(field) for name, field in FIELDS.items()},
        "width": st.sampled_from([32, 64]),
        "heads": st.sampled_from([1, 2, 4, 8, 16]),
        "folds": st.sampled_from([0, 2, 20]),
        "window": st.sampled_from(["", "-600,1500", "0.5,0.25"]),
        "size": st.sampled_from([32, 64, 128, 256]),
        "diffaugment": st.sampled_from(["", "color", "cutout, translation"]),
        "members": st.integers(16, 1000),
        "gan_batch": st.integers(2, 16),
    }
).map(lambda values: Config(**at_peace(values)))


@settings(deadline=None)
@given(CONFIGS)
def test_a_config_survives_json(config):
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("value", ["\udc80", "a\0b"])
def test_text_that_no_file_can_hold_is_refused(value):
    with pytest.raises(UserError, match="--data must be valid UTF-8 text"):
        Config(data=value)


def test_the_store_must_be_named():
    with pytest.raises(UserError, match="--store_dir must name a folder"):
        Config(store_dir="")


def test_from_dict_fills_in_defaults_and_takes_whole_numbers_for_floats():
    config = Config.from_dict({"dropout": 0, "epochs": 3})
    assert config == dataclasses.replace(Config(), dropout=0.0, epochs=3)
    assert type(config.dropout) is float


def test_from_dict_suggests_the_near_name():
    with pytest.raises(UserError, match=r"no setting 'backbon'\. Did you mean backbone\?"):
        Config.from_dict({"backbon": "tiny"})
    with pytest.raises(UserError) as caught:
        Config.from_dict({"zzzzzz": 1})
    assert "Did you mean" not in str(caught.value)


def test_from_json_reads_what_was_written(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(Config(seed=7).to_dict()), encoding="utf-8")
    assert Config.from_json(path) == Config(seed=7)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not JSON"),
        (b"", "is not JSON"),
        (b"\xff\xfe{}", "is not JSON"),
        (b"[1, 2]", "expected a JSON object of settings"),
        (b"null", "expected a JSON object of settings"),
        (b'{"sed": 1}', "Did you mean seed?"),
        (b'{"dropout": NaN}', "--dropout must be at least"),
    ],
)
def test_from_json_refuses_other_files(tmp_path, content, message):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        Config.from_json(path)


def test_from_json_names_a_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"--config_json: cannot read .*none\.json: No such file"):
        Config.from_json(tmp_path / "none.json")
    with pytest.raises(UserError, match=r"cannot read .*: Is a directory"):
        Config.from_json(tmp_path)


# A value other than the default for each setting, where the type alone does not give one.
OTHER = {"window": "40,400", "heads": 2, "folds": 5, "members": 50, "diffaugment": "color"}


def another(field):
    kind, meta = type(field.default), field.metadata
    if field.name in OTHER:
        return OTHER[field.name]
    if meta["choices"]:
        return next(choice for choice in meta["choices"] if choice != field.default)
    if kind is bool:
        return not field.default
    return field.default + "x" if kind is str else meta["low"]


@pytest.mark.parametrize("mode", ["train", "simulate"])
@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_the_run_folder_depends_on_what_is_learned_or_simulated_alone(field, mode):
    value = another(field)
    if value == field.default:
        value = field.default + 1
    before = Config(mode=mode)
    changed = dataclasses.replace(before, **{field.name: value})
    if field.name != "mode":
        roles = {"train": ("model", "data"), "simulate": ("victim", "data")}[mode]
        bound = field.metadata["role"] in roles
        bound |= mode == "simulate" and field.name in OF_VICTIMS
        assert (field.name in changed.bound_settings()) == bound
        named = bound or field.name == "data" or (mode == "simulate" and field.name == "grid")
        assert (changed.default_run_dir() != before.default_run_dir()) == named


def test_the_same_settings_give_the_same_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relative = Config(data="images/", backbone="tiny")
    absolute = Config(data=str(tmp_path / "images"), backbone="tiny")
    assert relative.default_run_dir() == absolute.default_run_dir()
    assert relative.default_run_dir().startswith("runs/tiny-")
    assert Config(backbone="tiny", cross_attention=True).default_run_dir()[:13] == "runs/tiny-ca-"
