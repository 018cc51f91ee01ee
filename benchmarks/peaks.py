"""Measure the memory of a command: its largest process, and all of them together."""

import threading

import psutil

_GIB = 2**30


class MemoryPeaks:
    """The largest memory of the processes below one, while it runs."""

    def __init__(self, pid: int) -> None:
        self._pid, self._largest, self._together = pid, 0, 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> tuple[float, float]:
        """Return the largest of one process and of all together, GiB."""
        self._ended.set()
        self._thread.join()
        return self._largest / _GIB, self._together / _GIB

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            sizes = []
            try:
                process = psutil.Process(self._pid)
                for each in (process, *process.children(recursive=True)):
                    sizes.append(each.memory_info().rss)
            except psutil.Error:
                continue
            self._largest = max(self._largest, *sizes)
            self._together = max(self._together, sum(sizes))
