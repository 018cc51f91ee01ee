"""A Dockerfile's stages and instructions, as far as the tests ask for them."""

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


def instructions(word: str = "", stage: str = "") -> list[Instruction]:
    """Those of the Dockerfile, all or of one kind, of all stages or of one."""
    return [
        found
        for found in _instructions()
        if word in ("", found.word) and stage in ("", found.stage)
    ]


def environment(stage: str) -> dict[str, str]:
    """What ENV says in a stage, without what it inherits."""
    text = " ".join(found.text for found in instructions("ENV", stage))
    return dict(re.findall(r"([A-Z_]+)=(\S+)", text))


def sent() -> list[str]:
    """What of the checkout the builder is sent, as the ignore file says it."""
    lines = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    return [rule[1:] for rule in rules if rule.startswith("!")]


def _instructions() -> Iterator[Instruction]:
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    stage = ""
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        word, _, text = " ".join(line.split()).partition(" ")
        if word == "FROM":
            stage = text.rpartition(" AS ")[2]
        yield Instruction(stage, word, text)
