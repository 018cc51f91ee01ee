"""Import the programs of scripts/, which are no package: each is run by itself."""

import importlib
import sys
from types import ModuleType

from tests.e2e.running import ROOT

SCRIPTS = ROOT / "scripts"


def load_script(name: str) -> ModuleType:
    """Import a program of scripts/ without running it."""
    if str(SCRIPTS) not in sys.path:
        sys.path.append(str(SCRIPTS))
    return importlib.import_module(name)
