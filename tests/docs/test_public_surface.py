"""The page of what is promised says what the code has."""

import importlib
import re

import pytest
from typer.main import get_command

import headrace
from headrace.cli import app
from headrace.formats import FORMATS
from tests.e2e.running import ROOT

PAGE = (ROOT / "docs/public-surface.md").read_text()


def test_formats_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| ([a-z ]+) \| .* \| (\d+) \|$", PAGE, re.MULTILINE)
    assert rows == [(item.artifact, str(item.current)) for item in FORMATS]


def test_commands_are_those_of_the_command_line() -> None:
    (text,) = re.findall(r"`headrace (init .*?)`", PAGE, re.DOTALL)
    assert re.split(r"\s*\|\s*", text) == list(get_command(app).commands)


@pytest.mark.parametrize("name", re.findall(r"^\| `(headrace\.[\w.]+)`", PAGE, re.MULTILINE))
def test_python_names_are_there(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert callable(getattr(importlib.import_module(module), attribute))


@pytest.mark.parametrize(
    ("name", "attributes"),
    re.findall(r"^\| `headrace\.(\w+)` \| ((?:`\w+`(?:, )?)+) \|$", PAGE, re.MULTILINE),
)
def test_attributes_of_classes_are_there(name: str, attributes: str) -> None:
    promised = re.findall(r"`(\w+)`", attributes)
    kind = getattr(headrace, name)
    described = f"{kind.__doc__} {' '.join(getattr(kind, 'model_fields', ()))}"
    for attribute in promised:
        assert hasattr(kind, attribute) or f"{attribute}:" in described or attribute in described
    others = {n for n in vars(kind) if not n.startswith(("_", "model_"))} - {*promised}
    assert not others, "promise them, or name them with an underscore"


def test_promised_classes_are_those_of_the_package() -> None:
    promised = re.findall(r"^\| `headrace\.(\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(promised) == sorted({*headrace.__all__} - {"__version__"})
