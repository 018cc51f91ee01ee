"""Say which versions of a model were its champion, one after the other: the text of a tag.

The record is a stack, so that there is a way back for each promotion, also where a version was
promoted twice (1, 2, 1, 2). It is kept with the registered model and not with its versions, so that
it outlives versions that are deleted. The alias `champion` says what the champion is; the record
says how it became that. They are written one after the other: `ChampionRecord.reconcile` says what
holds when something happened between the two.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from headrace.errors import ModelError

MAX_CHAMPIONS = 100
"""Champions that a record keeps: twice as many fit into the 1,000 characters that the strictest
registry takes as a tag."""
_TEXT = re.compile(r"(?:\d{1,9}(?:,\d{1,9})*)?(?:>(?:\d{1,9}(?:,\d{1,9})*)?)?")


@dataclass(frozen=True)
class ChampionRecord:
    """The champions of a model.

    Attributes:
        champions: versions, the first champion first, the present one last.
        intended: the same after a change that was begun; None where none was.
    """

    champions: tuple[int, ...] = ()
    intended: tuple[int, ...] | None = None

    @staticmethod
    def parse(text: str, where: str) -> "ChampionRecord":
        """Parse the text of `format_text`.

        Args:
            text: of the tag.
            where: words for the tag, for the error.

        Raises:
            ModelError: it is no such text.
        """
        if not _TEXT.fullmatch(text):
            raise ModelError(
                f"{where} is {text[:80]!r}, expected versions, such as 1,2 or 1,2>1,2,3; correct "
                "it or delete it in MLflow"
            )
        before, is_change, after = text.partition(">")
        return ChampionRecord(
            _parse_versions(before), _parse_versions(after) if is_change else None
        )

    def format_text(self) -> str:
        """Return `1,2`, or `1,2>1,2,3` where a change was begun."""
        before = _format_versions(self.champions)
        return before if self.intended is None else f"{before}>{_format_versions(self.intended)}"

    @property
    def is_rollback(self) -> bool:
        """Return whether the change that was begun takes champions away."""
        return self.intended is not None and len(self.intended) < len(self.champions)

    def reconcile(
        self, champion: int | None, is_promoted_after: Callable[[int, int], bool]
    ) -> tuple[int, ...]:
        """Return the champions up to the one that the alias names.

        Of a change that was begun, the alias says whether it took effect. Where the alias was moved
        by somebody else, a champion of before was rolled back to or promoted once more, and another
        version was promoted.

        Args:
            champion: version that the alias names; None where there is no alias, because it or its
                version was deleted.
            is_promoted_after: whether the first version was promoted after the second one.
        """
        if champion is None:
            return self.champions
        for champions in (self.champions, self.intended):
            if champions and champions[-1] == champion:
                return champions
        if champion not in self.champions:
            return (*self.champions, champion)
        last = len(self.champions) - 1 - self.champions[::-1].index(champion)
        if is_promoted_after(champion, self.champions[last + 1]):
            return (*self.champions, champion)
        return self.champions[: last + 1]


def drop_deleted(
    champions: tuple[int, ...], exists: Callable[[int], bool], count: int
) -> tuple[int, ...]:
    """Return the last champions whose versions exist, each different from its neighbours.

    Args:
        champions: the first champion first.
        exists: whether a version does; asked from the last one on, and as often as needed.
        count: how many to return at most.
    """
    existing: list[int] = []
    for version in reversed(champions):
        if len(existing) == count:
            break
        if version not in existing[-1:] and exists(version):
            existing.append(version)
    return tuple(reversed(existing))


def _parse_versions(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(",") if word)


def _format_versions(versions: tuple[int, ...]) -> str:
    return ",".join(str(version) for version in versions[-MAX_CHAMPIONS:])
