"""Collection of garbage is paused where modules are imported, and goes on after that."""

import gc
import subprocess
import sys
import threading

from headrace.garbage import pause_collection


def test_collection_goes_on_after_the_last_of_nested_blocks() -> None:
    assert gc.isenabled()
    with pause_collection():
        with pause_collection():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_collection_goes_on_after_an_error() -> None:
    try:
        with pause_collection():
            raise KeyError
    except KeyError:
        pass
    assert gc.isenabled()


def test_collection_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with pause_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_blocks_of_several_threads_overlap() -> None:
    begun, end = threading.Barrier(5), threading.Event()

    def pause() -> None:
        with pause_collection():
            begun.wait(10)
            end.wait(10)

    threads = [threading.Thread(target=pause) for _ in range(4)]
    for thread in threads:
        thread.start()
    begun.wait(10)
    with pause_collection():
        pass
    assert not gc.isenabled()
    end.set()
    for thread in threads:
        thread.join()
    assert gc.isenabled()


def test_a_command_collects_rarely_and_leaves_nothing_to_its_end() -> None:
    """Of a process that is about to end, the objects in cycles are not looked through."""
    code = (
        "import atexit, gc, sys\n"
        "from headrace.cli import main\n"
        "atexit.register(lambda: print(gc.get_threshold()[0], gc.get_freeze_count() > 1000))\n"
        "sys.argv = ['headrace', '--version']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1] == "50000 True"
