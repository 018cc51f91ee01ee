"""Who is told of a command's stages besides the person at the terminal.

Chosen by the environment, since it belongs to where a command runs and not to what it does. None of
them may hold a stage up or fail it: what cannot be told is said once and left.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from headrace.progress import Progress
from headrace.recipe import Recipe


class Observer(Protocol):
    """Is told of stages as they go."""

    def began(self, stage: str) -> None: ...

    def progressed(self, stage: str, progress: Progress) -> None: ...

    def ended(self, stage: str, result: Mapping[str, Any]) -> None: ...

    def failed(self, stage: str, error: BaseException) -> None: ...


def observers_of(
    recipe: Recipe, environment: Mapping[str, str], say: Callable[[str], None]
) -> list[Observer]:
    """Those that the environment asks for.

    Args:
        recipe: whose stages they are.
        environment: normally `os.environ`.
        say: tells people what could not be told.
    """
    found: list[Observer] = []
    folder, gateway = (environment.get(f"HEADRACE_METRICS_{k}") for k in ("FOLDER", "PUSH"))
    if folder or gateway:
        from headrace.commands.observers.prometheus import Prometheus

        found.append(Prometheus(recipe.name, folder, gateway, say))
    lineage = any(name.startswith("OPENLINEAGE_") for name in environment)
    if lineage and environment.get("OPENLINEAGE_DISABLED", "").lower() != "true":
        from headrace.commands.observers.lineage import Lineage

        found.append(Lineage(recipe, environment.get("OPENLINEAGE_NAMESPACE", "default"), say))
    return found


class Quietly:
    """Runs what may fail, and says once why it did."""

    def __init__(self, what: str, say: Callable[[str], None]) -> None:
        self._what, self._say, self._said = what, say, False

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> bool:
        if not isinstance(error, Exception):
            return False
        if not self._said:
            self._said = True
            first = str(error).splitlines()[0] if str(error) else ""
            self._say(f"{self._what}: {type(error).__name__}: {first}")
        return True
