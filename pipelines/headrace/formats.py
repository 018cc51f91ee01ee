"""Define the format version of every kind of artifact, and migrate older ones to the current.

An artifact is a file that outlives the command that wrote it. Each carries the version of its
format. An older one is migrated in memory when it is read, a version at a time, here and nowhere
else; its files stay as they were written, and can still be read by the program that wrote them. A
newer one is refused by name, with the versions that this program knows.

To change a format: raise `current`, add the step from the version before to `steps`, and keep
artifacts of the old one below `tests/fixtures/`. A field with a default is a change too, because
older programs refuse fields that they do not know.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError

Tree = dict[str, Any]
Migration = Callable[[Tree], Tree]


@dataclass(frozen=True)
class Format:
    """The format of one kind of artifact.

    Attributes:
        artifact: kind of artifact, in messages.
        current: the version that is written.
        oldest: the oldest version that can be read.
        key: key of the version in an artifact; one without it is of version 1.
        steps: version -> function to the next version; a version without one differs from the next
            in nothing that a reader has to know.
    """

    artifact: str
    current: int
    oldest: int = 1
    key: str = "format_version"
    steps: Mapping[int, Migration] = field(default_factory=dict)

    def read_version(self, tree: Any) -> int | None:
        """Return the version that an artifact has by itself; None where it is no valid version."""
        version = tree.get(self.key, 1) if isinstance(tree, Mapping) else None
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            return None
        return version

    def parse_version(self, text: str | bytes) -> int | None:
        """Return `read_version` of the JSON in a text, for which normally its start is enough."""
        if match := self._match_version(text):
            return int(match[1])
        try:
            return self.read_version(json.loads(text))
        except ValueError:
            return None

    def _match_version(self, text: str | bytes) -> re.Match[str] | None:
        """Match the version where a text begins with it; positions are also those of bytes."""
        pattern = rf'\s*\{{\s*"{self.key}"\s*:\s*([1-9]\d{{0,8}})\s*[,}}]'
        head = text[:200] if isinstance(text, str) else text[:200].decode("latin-1")
        return re.match(pattern, head, re.ASCII)

    def _has_steps(self, version: int) -> bool:
        return any(step in self.steps for step in range(version, self.current))

    def migrate_text(self, text: str | bytes, where: str, error: type[Exception]) -> str | bytes:
        """Return the JSON of an artifact in the current version; see `migrate_tree`.

        A text that is no JSON is returned as it is: whoever parses it reports the error.
        """
        version = self.parse_version(text)
        if version == self.current:
            return text
        if version and version >= self.oldest and not self._has_steps(version):
            match = self._match_version(text)
            if match and version < self.current:  # a large text is not parsed for a number in it
                number = str(self.current)
                if isinstance(text, bytes):
                    return text[: match.start(1)] + number.encode() + text[match.end(1) :]
                return text[: match.start(1)] + number + text[match.end(1) :]
        try:
            tree = json.loads(text)
        except ValueError:
            return text
        return json.dumps(self.migrate_tree(tree, where, error))

    def migrate_tree(self, tree: Any, where: str, error: type[Exception]) -> Tree:
        """Return an artifact in the current version; `tree` is not changed.

        Args:
            tree: the artifact as it was read, normally a dict.
            where: path or name of the artifact, the start of a message.
            error: type of the exception.

        Raises:
            error: the artifact is of a newer format, of one too old, or of no valid one.
        """
        version = self.read_version(tree)
        if version is None:
            value = repr(tree.get(self.key)) if isinstance(tree, Mapping) else type(tree).__name__
            raise error(
                f"{where} is damaged: got {value[:80]}, expected the format version of a "
                f"{self.artifact}"
            )
        self.check_version(version, where, error)
        migrated = dict(tree)
        for step in range(version, self.current):
            migrated = self.steps.get(step, dict)(migrated)
        return {**migrated, self.key: self.current}

    def check_version(self, version: int, where: str, error: type[Exception]) -> None:
        """Refuse a version that this program cannot read.

        Raises:
            error: this program cannot read it; the message names the versions that it can.
        """
        if self.oldest <= version <= self.current:
            return
        readable = (
            f"{self.oldest} to {self.current}" if self.oldest < self.current else self.current
        )
        fix = (
            "a newer Headrace wrote it: update this one, or read it with the one that wrote it"
            if version > self.current
            else "read it with the Headrace that wrote it"
        )
        raise error(
            f"{where} is of format {version}, this Headrace knows format {readable} of a "
            f"{self.artifact}; {fix}"
        )


def describe_invalid(error: "ValidationError") -> str:
    """Describe the first value of an artifact that is invalid: `files.0: Field required`."""
    problem = error.errors()[0]
    location = ".".join(map(str, problem["loc"]))
    return f"{location}: {problem['msg']}" if location else problem["msg"]


TRANSFORM = Format("fitted transform", 5, oldest=2, steps={3: lambda tree: {**tree, "rules": None}})
"""`transform.json`, also within a model. 3: its digest is that of its bytes. 4: it has the rules
that act on raw rows. 5: large vocabularies lie in files beside it; one without such is written as
of 4."""
BUILD = Format("dataset version", 12, steps={4: lambda tree: {**tree, "transform_format": 2}})
"""`build.json`, and with it all files of the sidecar. 5: it has its transform's format. 6: it has
the columns of the source's files, and the definition of its keys. 7: it has the snapshots that
were read, joins that are followed, and persons that were erased. 8: its files have checksums. 9: it
has the columns of raw values, and the boundaries of a split by time that follow from the rows. 10:
its lists are in manifests where they are long. 11: its files may have rows of several source
partitions, and it has the version that was optimized. 12: rows without ids, and groups of
rare ids, are counted."""
FIRST_BUILD_WITH_SUMS = 8
"""Format of `build.json` from which on a sidecar without checksums is damaged."""
PREDICTIONS = Format("version of predictions", 5)
"""`score.json`. 2: it has the columns of the source's files. 3: and the snapshots that were
scored. 4: it has a checksum. 5: its lists are in manifests where they are long."""
FIRST_PREDICTIONS_WITH_SUMS = 4
"""Format of `score.json` from which on a sidecar without checksums is damaged."""


def _mark_ended(tree: Tree) -> Tree:
    """Mark a training that stopped early, which had the number of all epochs as its position."""
    state = tree.get("state")
    if not isinstance(state, Mapping) or "epochs_run" not in state:
        return tree
    is_ended = state.get("epoch", 0) > state["epochs_run"]
    position = {"epoch": state["epochs_run"], "step": 0} if is_ended else {}
    return {**tree, "state": {**state, **position, "is_ended": is_ended}}


def _keep_separate_tables(tree: Tree) -> Tree:
    """Say that every categorical had an embedding table of its own."""
    return {**tree, "shared_tables": False}


CHECKPOINT = Format("checkpoint", 4, key="format", steps={2: _mark_ended, 3: _keep_separate_tables})
"""The `state` member of a checkpoint, and the names of its arrays. 2: it has a manifest of them.
3: it has the settings that its state depends on, and says whether it stopped early. 4: it says
whether categoricals share embedding tables."""
MODEL = Format("registered model", 2)
"""Headrace's entry in a model's metadata, and the files beside its network. 2: rows without ids,
and groups of rare ids, are counted."""


def _call_unjudged(tree: Tree) -> Tree:
    """Say of a verdict without any gate that nothing was judged, and not that all passed."""
    return tree if tree.get("gates", True) else {**tree, "passed": None}


VERDICT = Format("verdict", 2, steps={1: _call_unjudged})
"""`verdict.json`. 2: it has all settings that it depends on, its task, and by which rows the
champion was compared; and `passed` is null where there was no gate."""
STUDY = Format("tuning study", 2)
"""User attributes of Optuna's study and trials. 2: it has what its trials depend on."""

STATISTICS = Format("statistics of a dataset", 1)
"""`statistics.json`, which versions of earlier releases do not have."""

FORMATS = (TRANSFORM, BUILD, PREDICTIONS, CHECKPOINT, MODEL, VERDICT, STUDY, STATISTICS)
