"""Write the commands to go on with, so that they work as they are pasted into this shell."""

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.redaction import redact_text
from headrace.tracking.environment import find_tracking_uri

_PROGRAM = "headrace"


@dataclass(frozen=True)
class NextCommands:
    """The commands that follow one on a recipe, with its options.

    Attributes:
        recipe: path, as it was given.
        workdir: of the command.
        overrides: of recipe keys, as `KEY=VALUE`.
    """

    recipe: str
    workdir: str
    overrides: Sequence[str] = ()

    def build(self, command: str, *options: str) -> str:
        """Return a command of Headrace on the same recipe.

        Args:
            command: for example `promote`.
            options: of that command.
        """
        words = [name_program(_PROGRAM), command, self.recipe, *options]
        if self.workdir != os.environ.get("HEADRACE_WORKDIR", "var"):
            words += ["--workdir", self.workdir]
        for override in self.overrides:
            words += ["--set", override]
        return redact_text(shlex.join(words))

    def list_after_evaluation(
        self, model_uri: str, tracking_uri: str, table: str, *, passed: bool
    ) -> list[str]:
        """Return what follows an evaluated model: promote, score, serve.

        Args:
            model_uri: `models:/NAME/VERSION`.
            tracking_uri: of the store that it is registered in.
            table: whose rows may be scored.
            passed: whether it may be promoted.
        """
        serve = build_serve_command(model_uri, tracking_uri)
        return [self.build("promote"), self.build_score(table), serve] if passed else [serve]

    def build_score(self, table: str) -> str:
        """Return the command that scores a table with the champion."""
        output = str(Path(self.workdir) / "predictions")
        return self.build("score", "--input", table, "--output", output)


def build_serve_command(model_uri: str, tracking_uri: str) -> str:
    """Return the command that serves a registered model over HTTP, in this environment.

    `mlflow models serve` looks for the model where MLFLOW_TRACKING_URI says, and starts `uvicorn`
    by name, which has to be the one of this environment.
    """
    variables = []
    if not _is_on_path("uvicorn"):
        variables.append(f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH")
    if find_tracking_uri(None, os.environ) != tracking_uri:
        variables.append(f"MLFLOW_TRACKING_URI={shlex.quote(tracking_uri)}")
    words = [name_program("mlflow"), "models", "serve", "--env-manager", "local", "-m", model_uri]
    return " ".join([*variables, shlex.join(words)])


def name_program(name: str) -> str:
    """Return how the shell that started this command calls a program of its environment."""
    own = Path(sys.executable).with_name(name)
    if _is_on_path(name) or not own.exists():
        return name
    folder = Path.cwd()
    return str(own.relative_to(folder) if own.is_relative_to(folder) else own)


def describe_repetition() -> str:
    """Return the command line of this process, to be run again; in words where it is no shell's.

    Where it named a checkpoint or `never`, it is without that: it goes on from the newest one.
    """
    if Path(sys.argv[0]).name != _PROGRAM:
        return "the same command again"
    words, skips = [name_program(_PROGRAM)], False
    for word in sys.argv[1:]:
        if not (skips or word == "--resume" or word.startswith("--resume=")):
            words.append(word)
        skips = word == "--resume"
    return redact_text(shlex.join(words))


def format_next(commands: Sequence[str]) -> list[str]:
    """Return the lines that name the commands to go on with; none where there are none."""
    return ["Next", *(f"  {command}" for command in commands)] if commands else []


def _is_on_path(name: str) -> bool:
    """Return whether a program is found on PATH in this very environment."""
    found, own = shutil.which(name), Path(sys.executable).with_name(name)
    return found is not None and own.exists() and own.samefile(found)
