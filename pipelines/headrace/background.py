"""Do in a thread what nothing waits for yet, and hand its result or its error to whoever does."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Background(Generic[Result]):
    """A function that runs in a thread of its own, which does not keep the process alive."""

    def __init__(self, function: Callable[[], Result], name: str) -> None:
        """
        Args:
            function: is called once, at once.
            name: of the thread.
        """
        self._function = function
        self._result: list[Result] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result.append(self._function())
        except BaseException as error:  # raised where it is waited for
            self._error = error

    def wait(self) -> Result:
        """Wait for the function's end; return what it returned, or raise what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result[0]

    def has_succeeded(self, seconds: float) -> bool:
        """Return whether the function returns within some seconds, and raises nothing."""
        self._thread.join(seconds)
        return bool(self._result)
