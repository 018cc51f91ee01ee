"""Measure a command from outside: memory of its processes by kind and together, processor time."""

import threading

import psutil

_GIB = 2**30


class MemoryPeaks:
    """The largest memory of the processes below one, while it runs.

    Attributes:
        driver, jvm, largest_child: GiB of the process itself, of its largest JVM, and of the
            largest other process below it; 0 where there is none.
        processor: seconds of all its processes, as they were seen last, half a second before
            their end.
    """

    def __init__(self, pid: int) -> None:
        self._pid, self._together = pid, 0
        self._by_kind = {"driver": 0, "jvm": 0, "child": 0}
        self._seconds: dict[int, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @property
    def driver(self) -> float:
        return self._by_kind["driver"] / _GIB

    @property
    def jvm(self) -> float:
        return self._by_kind["jvm"] / _GIB

    @property
    def largest_child(self) -> float:
        return self._by_kind["child"] / _GIB

    @property
    def processor(self) -> float:
        return sum(self._seconds.values())

    def stop(self) -> tuple[float, float]:
        """Return the largest of one process and of all together, GiB."""
        self._ended.set()
        self._thread.join()
        return max(self._by_kind.values()) / _GIB, self._together / _GIB

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            sizes = []
            try:
                process = psutil.Process(self._pid)
                for each in (process, *process.children(recursive=True)):
                    size = each.memory_full_info().pss  # what forked processes share, once
                    sizes.append(size)
                    self._seconds[each.pid] = sum(each.cpu_times()[:2])
                    kind = "driver" if each.pid == self._pid else "child"
                    kind = "jvm" if each.name() == "java" else kind
                    self._by_kind[kind] = max(self._by_kind[kind], size)
            except psutil.Error:
                continue
            self._together = max(self._together, sum(sizes))
