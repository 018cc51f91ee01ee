"""What reads recipes and works on the lake imports kinds of feature, and no engine that trains."""

import subprocess
import sys

import pytest

LIGHT = ("headrace.recipe", "headrace.features.kinds", "headrace.prepare.run")


@pytest.mark.parametrize("module", LIGHT)
def test_tensorflow_is_imported_by_what_trains_alone(module: str) -> None:
    code = (
        f"import sys, {module}\n"
        "print([m for m in ('tensorflow', 'keras', 'PIL') if m in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
