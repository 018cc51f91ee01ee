"""The result of a gate, whichever kind of gate it is."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class GateResult:
    """A gate and whether the model passed it.

    Attributes:
        gate: as the recipe has it.
        passed: whether the model passed it.
        value: the number that was compared with the limit; None where there is none.
        text: the result in words.
        details: further numbers.
    """

    gate: dict[str, Any]
    passed: bool
    value: float | None
    text: str
    details: dict[str, Any]
