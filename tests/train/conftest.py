"""Shared by the tests of the training loop."""

from collections.abc import Callable
from typing import Any

import pytest

from headrace.train import loop


@pytest.fixture
def validate_as(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Replace the validation by values, one per epoch; returns what switches it on."""

    def prepare(**values: list[float]) -> dict[str, Any]:
        rows = zip(*values.values(), strict=True)
        epochs = iter([dict(zip(values, row, strict=True)) for row in rows])
        monkeypatch.setattr(loop, "validate_split", lambda *_: next(epochs))
        return {"validation": object()}

    return prepare
