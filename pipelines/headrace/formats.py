"""Formats of artifacts: which version each kind has, and how an older one becomes today's.

An artifact is what outlives the command that wrote it. Each carries the version of its format.
An older one is migrated in memory when it is read, a version at a time, here and nowhere else; its
files stay as they were written, and are still read by the program that wrote them. A newer one is
refused by name, with the versions that this program knows.

To change a format: raise `current`, add the step from the version before to `steps`, and keep
artifacts of the old one below `tests/fixtures/`. A field with a default is a change too, because
older programs refuse fields that they do not know.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Tree = dict[str, Any]
Migration = Callable[[Tree], Tree]


@dataclass(frozen=True)
class Format:
    """The format of one kind of artifact.

    Attributes:
        artifact: what it is, for people.
        current: the version that is written.
        oldest: the oldest version that can be read.
        key: where an artifact says its version; one that does not is of version 1.
        steps: version -> what makes the next version of it; a version that is not named differs
            from the next one in nothing that a reader has to know.
    """

    artifact: str
    current: int
    oldest: int = 1
    key: str = "format_version"
    steps: Mapping[int, Migration] = field(default_factory=dict)

    def version_of(self, tree: Any) -> int | None:
        """Return the version that an artifact says it has; None where that is nonsense."""
        found = tree.get(self.key, 1) if isinstance(tree, Mapping) else None
        if not isinstance(found, int) or isinstance(found, bool) or found < 1:
            return None
        return found

    def version_in(self, text: str | bytes) -> int | None:
        """Return `version_of` the JSON in a text, of which normally the begin is enough."""
        begin = rf'\s*\{{\s*"{self.key}"\s*:\s*([1-9]\d{{0,8}})\s*[,}}]'
        head = text[:200] if isinstance(text, str) else text[:200].decode(errors="replace")
        if match := re.match(begin, head):
            return int(match[1])
        try:
            return self.version_of(json.loads(text))
        except ValueError:
            return None

    def migrated_text(self, text: str | bytes, where: str, error: type[Exception]) -> str | bytes:
        """Return the JSON of an artifact as the current version has it; see `migrated`.

        A text that is no JSON stays as it is: what is wrong with it is said by who parses it.
        """
        version = self.version_in(text)
        if version == self.current:
            return text
        try:
            tree = json.loads(text)
        except ValueError:
            return text
        return json.dumps(self.migrated(tree, where, error))

    def migrated(self, tree: Any, where: str, error: type[Exception]) -> Tree:
        """Return an artifact as the current version has it; `tree` stays as it is.

        Args:
            tree: the artifact as it was read, normally a dict.
            where: its place, the begin of what an error says.
            error: what is raised.

        Raises:
            error: it is of a newer or of a forgotten format, or says no format.
        """
        version = self.version_of(tree)
        if version is None:
            said = repr(tree.get(self.key)) if isinstance(tree, Mapping) else type(tree).__name__
            raise error(f"{where} is damaged: {said[:80]} where the format of a {self.artifact} is")
        self.check(version, where, error)
        now = dict(tree)
        for step in range(version, self.current):
            now = self.steps.get(step, dict)(now)
        return {**now, self.key: self.current}

    def check(self, version: int, where: str, error: type[Exception]) -> None:
        """Refuse a version that this program cannot read.

        Raises:
            error: with the versions that it can.
        """
        if self.oldest <= version <= self.current:
            return
        knows = f"{self.oldest} to {self.current}" if self.oldest < self.current else self.current
        fix = (
            "a newer Headrace wrote it: update this one, or read it with the one that wrote it"
            if version > self.current
            else "read it with the Headrace that wrote it"
        )
        raise error(
            f"{where} is of format {version}, this Headrace knows format {knows} of a "
            f"{self.artifact}; {fix}"
        )


TRANSFORM = Format("fitted transform", 3, oldest=2)
"""`transform.json`, also in a model. 3: its digest is that of its bytes."""
BUILD = Format("dataset version", 5, steps={4: lambda tree: {**tree, "transform_format": 2}})
"""`build.json`, and with it all that a build leaves beside it. 5: it says its transform's own."""
PREDICTIONS = Format("version of predictions", 1)
"""`score.json`."""
CHECKPOINT = Format("checkpoint", 1, key="format")
"""The `state` member of a checkpoint, and the names of its arrays."""
MODEL = Format("registered model", 1)
"""What Headrace notes in a model's metadata, and the files beside its network."""
VERDICT = Format("verdict", 1)
"""`verdict.json`."""
STUDY = Format("tuning study", 1)
"""User attributes of Optuna's study and trials."""

FORMATS = (TRANSFORM, BUILD, PREDICTIONS, CHECKPOINT, MODEL, VERDICT, STUDY)
