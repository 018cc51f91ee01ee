"""Read what the registry says about a model's champions, and write it, one step at a time.

Which steps a promotion and a rollback are made of is said in `registry.py`.
"""

from collections.abc import Mapping
from typing import Any

from headrace.errors import ModelError
from headrace.tracking.champion_record import ChampionRecord, drop_deleted
from headrace.tracking.store import Store, open_patient_client

CHAMPION, PREVIOUS = "champion", "previous"
_RECORD = "headrace.champions"
_BEFORE, _PROMOTED_AT, _ROLLED_BACK_AT = (
    "headrace.champion_before",
    "headrace.promoted_at",
    "headrace.rolled_back_at",
)
_UNKNOWN = 0  # stands for a champion of which nothing is left, not even its number


class RegisteredModel:
    """A registered model's aliases and record of champions, as they were at one moment.

    Attributes:
        name: in the registry.
        champion, previous: versions that the aliases name; None without the alias.
    """

    def __init__(
        self, client: Any, name: str, address: str, aliases: Mapping[str, int], text: str | None
    ) -> None:
        """
        Args:
            client: of the registry.
            name: of the model.
            address: of the store, to be shown.
            aliases: alias -> version.
            text: of the record; None where there is none.
        """
        self.name = name
        self.champion, self.previous = aliases.get(CHAMPION), aliases.get(PREVIOUS)
        self._client, self._address, self._text = client, address, text
        self._record: ChampionRecord | None = None
        self._tags: dict[int, dict[str, str] | None] = {_UNKNOWN: None}

    @staticmethod
    def read(store: Store) -> "RegisteredModel":
        """Read the recipe's registered model; one that is not registered has no aliases."""
        client = open_patient_client(store)
        model = RegisteredModel(client, store.registered_model, store.redacted_uri, {}, None)
        return model.read_again()

    def read_again(self) -> "RegisteredModel":
        """Read the model as it is now."""
        from mlflow.exceptions import MlflowException

        aliases, text = {}, None
        try:
            entity = self._client.get_registered_model(self.name)
            aliases = {alias: int(version) for alias, version in entity.aliases.items()}
            text = entity.tags.get(_RECORD)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
        return RegisteredModel(self._client, self.name, self._address, aliases, text)

    def __str__(self) -> str:
        return f"model {self.name} in {self._address}"

    @property
    def record(self) -> ChampionRecord:
        """Return the record; of a registry without one, what the versions' tags say.

        Raises:
            ModelError: the tag is damaged.
        """
        if self._record is None:
            self._record = self._make_record()
        return self._record

    def _make_record(self) -> ChampionRecord:
        if self._text is not None:
            return ChampionRecord.parse(self._text, f"tag {_RECORD} of {self}")
        start = self.champion if self.champion is not None else self.previous
        if start is None:
            return ChampionRecord()
        champions = self._follow_tags(start)
        # Without a champion there is no `previous`, unless the champion was deleted.
        return ChampionRecord(champions if self.champion else (*champions, _UNKNOWN))

    def exists(self, version: int) -> bool:
        """Return whether a version is registered, and not deleted."""
        return self._read_tags(version) is not None

    def list_champions(self) -> tuple[int, ...]:
        """Return the champions up to the one that the alias names, deleted ones included."""
        return self.record.reconcile(self.champion, self._is_promoted_after)

    def list_existing(self, champions: tuple[int, ...], count: int) -> tuple[int, ...]:
        """Return the last of these champions whose versions exist; see `drop_deleted`."""
        return drop_deleted(champions, self.exists, count)

    def find_deleted_champion(self) -> int | None:
        """Return the champion whose version was deleted in MLflow; None where none was.

        With a version its alias is gone, at least from the registry of a server.
        """
        if self.champion is not None:
            return None if self.exists(self.champion) else self.champion
        stacks = (self.record.intended, self.record.champions)
        last = (champions[-1] for champions in stacks if champions)
        return next((version for version in last if not self.exists(version)), None)

    def describe_champion(self, version: int | None) -> str:
        """Return words for a champion of the model."""
        return f"the champion of {self}" + (f", version {version}," if version else "")

    def is_settled(self, champions: tuple[int, ...]) -> bool:
        """Return whether record and aliases say the same, and no change was begun.

        Args:
            champions: up to the present one.
        """
        if self.champion is None:  # deleted; the record is the way back
            return True
        settled = ChampionRecord(champions).format_text()
        return self._text == settled and self.previous == self._find_previous(champions)

    def settle(self, champions: tuple[int, ...]) -> None:
        """Make `previous` and the record follow the champion.

        Args:
            champions: up to the present one.
        """
        previous, settled = self._find_previous(champions), ChampionRecord(champions)
        if previous != self.previous:
            self.set_alias(PREVIOUS, previous)
        if self._text != settled.format_text():
            self.write_record(settled)

    def write_record(self, record: ChampionRecord) -> None:
        """Write the record; it is seen by the next `read`."""
        self._client.set_registered_model_tag(self.name, _RECORD, record.format_text())

    def set_alias(self, alias: str, version: int | None) -> None:
        """Move an alias to a version, or delete it."""
        if version is None:
            self._client.delete_registered_model_alias(self.name, alias)
        else:
            self._client.set_registered_model_alias(self.name, alias, str(version))

    def tag_promotion(self, version: int, before: int | None, moment: str) -> None:
        """Note with a version when it was promoted, and over which one."""
        self._tag(version, _BEFORE, "" if before is None else str(before))
        self._tag(version, _PROMOTED_AT, moment)

    def tag_rollback(self, version: int, moment: str) -> None:
        """Note with a version when it was rolled back; one that was deleted has no tags."""
        if self.exists(version):
            self._tag(version, _ROLLED_BACK_AT, moment)

    def _find_previous(self, champions: tuple[int, ...]) -> int | None:
        existing = self.list_existing(champions, 2)
        return existing[0] if len(existing) == 2 else None

    def _tag(self, version: int, key: str, value: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.set_model_version_tag(self.name, str(version), key, value)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # deleted a moment ago
                raise

    def _read_tags(self, version: int) -> dict[str, str] | None:
        """Read the tags of a version, once; None where it does not exist."""
        from mlflow.exceptions import MlflowException

        if version not in self._tags:
            try:
                entity = self._client.get_model_version(self.name, str(version))
                self._tags[version] = dict(entity.tags)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                self._tags[version] = None
        return self._tags[version]

    def _is_promoted_after(self, version: int, other: int) -> bool:
        """Return whether a version was promoted after another one, and not rolled back since."""
        tags, other_tags = self._read_tags(version), self._read_tags(other)
        if tags is None or other_tags is None:
            return False
        limits = (other_tags.get(_PROMOTED_AT, ""), tags.get(_ROLLED_BACK_AT, ""))
        return tags.get(_PROMOTED_AT, "") > max(limits)

    def _follow_tags(self, version: int) -> tuple[int, ...]:
        """Return the champions up to a version, as an older Headrace tagged each with the one
        before it.

        The tag of a deleted version is lost; then the promotion before goes on. Of a version that
        was promoted twice only the later promotion is known, so the way back ends there.
        """
        champions: list[int] = []
        moment, current = "", version
        while current not in champions:
            champions.append(current)
            tags = self._read_tags(current)
            if tags is None:
                earlier = self._find_promoted_before(moment, champions)
                if earlier is None:
                    break
                current = earlier
                continue
            moment, before = tags.get(_PROMOTED_AT, ""), tags.get(_BEFORE, "")
            if not before:
                break
            if not before.isdecimal():
                raise ModelError(
                    f"tag {_BEFORE} of version {current} of {self} is {before[:80]!r}, expected "
                    "the number of a version; correct it or delete it in MLflow"
                )
            current = int(before)
        return tuple(reversed(champions))

    def _find_promoted_before(self, moment: str, known: list[int]) -> int | None:
        """Return the version that was promoted last before a moment and not rolled back since."""
        promoted = []
        for entity in self._client.search_model_versions(f"name = '{self.name}'"):
            at = entity.tags.get(_PROMOTED_AT, "")
            is_champion = at and at <= moment and at > entity.tags.get(_ROLLED_BACK_AT, "")
            if is_champion and int(entity.version) not in known:
                promoted.append((at, int(entity.version)))
        return max(promoted)[1] if promoted else None
