"""Parse stages and instructions of the Dockerfile, as far as the tests need them."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.deploy.manifests import ROOT

FOLDER = ROOT / "deploy" / "docker"
DOCKERFILE = FOLDER / "Dockerfile"


class Instruction(NamedTuple):
    """One instruction.

    Attributes:
        stage: that it is in; "" before the first one.
        word: FROM, RUN, …
        text: what follows, on one line.
    """

    stage: str
    word: str
    text: str


def list_instructions(word: str = "", stage: str = "") -> list[Instruction]:
    """Return the instructions of the Dockerfile: all or one kind, of all stages or one."""
    return [
        instruction
        for instruction in _parse_instructions()
        if word in ("", instruction.word) and stage in ("", instruction.stage)
    ]


def read_environment(stage: str) -> dict[str, str]:
    """Return the variables that ENV sets in a stage, without inherited ones."""
    text = " ".join(instruction.text for instruction in list_instructions("ENV", stage))
    return dict(re.findall(r"([A-Z_]+)=(\S+)", text))


def list_sent_paths() -> list[str]:
    """Return the paths of the checkout that the ignore file lets into the build context."""
    lines = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    return [rule[1:] for rule in rules if rule.startswith("!")]


def _parse_instructions() -> Iterator[Instruction]:
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    stage = ""
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        word, _, text = " ".join(line.split()).partition(" ")
        if word == "FROM":
            stage = text.rpartition(" AS ")[2]
        yield Instruction(stage, word, text)
