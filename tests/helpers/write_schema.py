"""Writes audit.schema.json from the dataclasses: python -m tests.helpers.write_schema."""

import dataclasses
import importlib.resources
import inspect
import re
import types
import typing

from ganfp_tf import files
from ganfp_tf.audit.field_types import Constraint
from ganfp_tf.audit.result import SCHEMA_ID, AuditResult

PATH = importlib.resources.files("ganfp_tf.reports") / "schemas" / "audit.schema.json"
NAMES = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object"}
KEYWORDS = {"max_items": "maxItems"}
WITHOUT_REFERENCE = ("images", "set", "power", "patients", "siblings", "epsilon")


def audit_schema():
    """The JSON Schema (draft 2020-12) of audit.json, as a dict."""
    definitions = {}
    result = _of_dataclass(AuditResult, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "audit.json",
        **result,
        "$defs": dict(sorted(definitions.items())),
        "allOf": [
            {
                "if": _where("question", "kind", {"const": "suspects"}),
                "then": {
                    "properties": {
                        **_where("question", "reference", {"type": "null"})["properties"],
                        **{name: {"type": "null"} for name in WITHOUT_REFERENCE},
                    }
                },
                "else": _where("question", "reference", {"type": "object"}),
            },
            {
                "if": _where("verdict", "code", {"const": "not_trustworthy"}),
                "then": _where("verdict", "failed_controls", {"minItems": 1}),
            },
        ],
    }


def _where(part, key, condition):
    return {"properties": {part: {"properties": {key: condition}}}}


def _of_dataclass(kind, definitions):
    text, attributes = _documented(kind)
    hints = typing.get_type_hints(kind, include_extras=True)
    properties = {}
    for field in dataclasses.fields(kind):
        found = _of_type(hints[field.name], definitions)
        about = attributes.get(field.name)
        properties[field.name] = found | ({"description": about} if about else {})
    return {
        "description": text,
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }


def _of_type(kind, definitions):
    if dataclasses.is_dataclass(kind):
        if kind.__name__ not in definitions:
            definitions[kind.__name__] = _of_dataclass(kind, definitions)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _of_type(arguments[0], definitions) | _constraints(arguments[1:])
    if origin is typing.Literal:
        return {"const": arguments[0]} if len(arguments) == 1 else {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        return _or_null(*(each for each in arguments if each is not type(None)), definitions)
    if origin is tuple:
        return _of_tuple(arguments, definitions)
    return {"type": NAMES[kind]}


def _or_null(kind, definitions):
    if dataclasses.is_dataclass(kind):  # no anyOf, for the sake of readable messages
        name = f"{kind.__name__}OrNull"
        definitions[name] = _of_dataclass(kind, definitions) | {"type": ["object", "null"]}
        return {"$ref": f"#/$defs/{name}"}
    found = _of_type(kind, definitions)
    return found | {"type": [found["type"], "null"]}


def _of_tuple(arguments, definitions):
    if arguments[-1] is Ellipsis:
        return {"type": "array", "items": _of_type(arguments[0], definitions)}
    return {
        "type": "array",
        "prefixItems": [_of_type(each, definitions) for each in arguments],
        "items": False,
        "minItems": len(arguments),
    }


def _constraints(metadata):
    (constraint,) = (each for each in metadata if isinstance(each, Constraint))
    return {
        KEYWORDS.get(key, key): value
        for key, value in dataclasses.asdict(constraint).items()
        if value is not None
    }


def _documented(kind):
    """The text of a docstring in one line, and attribute -> text."""
    text, _, attributes = inspect.getdoc(kind).partition("\n\nAttributes:\n")
    found = {}
    for names, about in re.findall(r"^    ([\w, ]+): ((?:.|\n        )*)", attributes, re.M):
        found |= dict.fromkeys(names.split(", "), " ".join(about.split()))
    return " ".join(text.split()), found


if __name__ == "__main__":
    files.write_json(PATH, audit_schema())
