"""audit.schema.json takes every kind of audit and refuses what is wrong."""

import json
import math

import jsonschema
import pytest

from ganfp_tf import files
from ganfp_tf.audit.result import SCHEMA_ID
from ganfp_tf.audit.verdict import HEADLINES
from ganfp_tf.reports.audit.schema import schema
from ganfp_tf.reports.audit.wording import SYMBOLS
from tests.helpers.audit_example import KINDS, labelled, suspects
from tests.helpers.write_schema import audit_schema


@pytest.fixture(scope="module")
def validator():
    jsonschema.Draft202012Validator.check_schema(schema())
    return jsonschema.Draft202012Validator(schema())


def reasons(validator, audit):
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(audit)]


@pytest.mark.parametrize("kind", KINDS)
def test_examples_are_valid_before_and_after_a_file(validator, tmp_path, kind):
    audit = KINDS[kind]()
    assert reasons(validator, audit) == []
    files.write_json(tmp_path / "audit.json", audit)
    assert reasons(validator, files.read_json(tmp_path / "audit.json")) == []


@pytest.mark.parametrize("part", labelled())
def test_every_part_is_needed(validator, part):
    audit = labelled()
    del audit[part]
    assert any(f"'{part}' is a required property" in text for text in reasons(validator, audit))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("verdict", "code"), "safe"),
        (("verdict", "headline"), None),
        (("question", "kind"), "unlabelled"),
        (("schema",), "https://ganfp.dev/schemas/audit-2.json"),
        (("confidence",), 95),
        (("detectors", 0, "auc"), 0.9),
        (("detectors", 0, "auc", "low"), "0.8"),
        (("detectors", 0, "tpr", 0, "value"), 1.2),
        (("controls", 0, "passed"), "yes"),
        (("controls", 0, "kind"), "neutral"),
        (("data", "counts", 0), ["real, used", 100]),
        (("data", "digests", 0, 1), "9f2c"),
        (("riskiest", 0, "generated", 0, "distance"), "near"),
        (("power", "curve", 0), [0.5, 0.05, 0.1]),
    ],
)
def test_wrong_values_are_refused(validator, path, value):
    audit = labelled()
    place = audit
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    found = reasons(validator, audit)
    assert found
    assert found[0].startswith("$." + path[0])


@pytest.mark.parametrize(
    "path",
    [
        (),
        ("question",),
        ("verdict",),
        ("detectors", 0),
        ("controls", 0),
        ("riskiest", 0),
        ("data",),
        ("power",),
        ("set",),
        ("epsilon",),
        ("detectors", 0, "auc"),
    ],
)
def test_unknown_names_are_refused(validator, path):
    audit = labelled()
    place = audit
    for step in path:
        place = place[step]
    place["surplus"] = 1
    assert any("'surplus' was unexpected" in text for text in reasons(validator, audit))


def test_kind_and_parts_agree(validator):
    audit = suspects()
    audit["set"] = labelled()["set"]
    assert any(text.startswith("$.set") for text in reasons(validator, audit))
    audit = labelled()
    audit["question"]["reference"] = None
    assert any(text.startswith("$.question.reference") for text in reasons(validator, audit))
    audit = labelled()
    audit["verdict"]["code"] = "not_trustworthy"
    assert any("failed_controls" in text for text in reasons(validator, audit))


def test_what_is_not_a_number_becomes_null(validator, tmp_path):
    audit = labelled()
    audit["detectors"][0]["auc"]["low"] = math.nan
    # NaN is no JSON; jsonschema sees a Python float, so the writing is what keeps it out.
    with pytest.raises(ValueError, match="Out of range float"):
        json.dumps(audit, allow_nan=False)
    files.write_json(tmp_path / "audit.json", audit)
    read = files.read_json(tmp_path / "audit.json")
    assert read["detectors"][0]["auc"]["low"] is None
    assert reasons(validator, read) == []


def test_codes_have_words():
    codes = schema()["$defs"]["Verdict"]["properties"]["code"]["enum"]
    assert list(SYMBOLS) == list(HEADLINES) == codes
    assert not any("safe" in word.lower() for word in HEADLINES.values())
    assert schema()["$id"] == schema()["properties"]["schema"]["const"] == SCHEMA_ID


def test_the_packaged_schema_is_that_of_the_dataclasses():
    """python -m tests.helpers.write_schema writes it anew."""
    assert schema() == audit_schema()
