"""The packaged JSON Schemas."""

import importlib.resources
import json
from typing import Any


def schema(name: str = "audit") -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of audit.json, as a dict."""
    folder = importlib.resources.files("ganfp_tf.reports") / "schemas"
    return json.loads((folder / f"{name}.schema.json").read_text(encoding="utf-8"))
