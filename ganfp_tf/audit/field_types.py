"""Types of the fields of an audit's result, with the constraints that its JSON schema states."""

import dataclasses
from typing import Annotated, Literal


@dataclasses.dataclass(frozen=True)
class Constraint:
    """What JSON Schema allows beside a type; None: no constraint."""

    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None
    format: str | None = None
    max_items: int | None = None


Probability = Annotated[float, Constraint(minimum=0, maximum=1)]
Count = Annotated[int, Constraint(minimum=0)]
NonNegative = Annotated[float, Constraint(minimum=0)]
Digest = Annotated[str, Constraint(pattern="^[0-9a-f]{64}$")]
Sentences = tuple[str, ...]
Kind = Literal["labelled", "reference", "suspects"]
