"""Choose the observers that follow a command's stages besides the person at the terminal.

The environment chooses them, since they belong to where a command runs and not to what it does.
None of them may delay or fail a stage: the first failure of an observer is printed, and ignored.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from headrace.errors import get_first_line
from headrace.progress import Progress
from headrace.recipe import Recipe
from headrace.redaction import redact_text


class Observer(Protocol):
    """Follows the stages of a command while they run."""

    def on_stage_start(self, stage: str) -> None: ...

    def on_progress(self, stage: str, progress: Progress) -> None: ...

    def on_stage_end(self, stage: str, result: Mapping[str, Any]) -> None: ...

    def on_stage_failure(self, stage: str, error: BaseException) -> None: ...


def open_observers(
    recipe: Recipe, environment: Mapping[str, str], warn: Callable[[str], None]
) -> list[Observer]:
    """Open the observers that the environment asks for.

    Args:
        recipe: the recipe of the stages.
        environment: normally `os.environ`.
        warn: prints a line about an observer that failed.
    """
    observers: list[Observer] = []
    folder, gateway = (environment.get(f"HEADRACE_METRICS_{k}") for k in ("FOLDER", "PUSH"))
    if folder or gateway:
        from headrace.commands.observers.prometheus import Prometheus

        observers.append(Prometheus(recipe.name, folder, gateway, warn))
    lineage = any(name.startswith("OPENLINEAGE_") for name in environment)
    if lineage and environment.get("OPENLINEAGE_DISABLED", "").lower() != "true":
        from headrace.commands.observers.lineage import Lineage

        observers.append(Lineage(recipe, environment.get("OPENLINEAGE_NAMESPACE", "default"), warn))
    return observers


class BestEffort:
    """Suppresses the exceptions of the blocks it guards, and prints the first one."""

    def __init__(self, failure: str, warn: Callable[[str], None]) -> None:
        """
        Args:
            failure: what it means for the user if a block fails.
            warn: prints a line.
        """
        self._failure, self._warn, self._has_warned = failure, warn, False

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> bool:
        if not isinstance(error, Exception):
            return False
        if not self._has_warned:
            self._has_warned = True
            reason = redact_text(f"{type(error).__name__}: {get_first_line(error)}")
            self._warn(f"{self._failure}: {reason}")
        return True
