"""Which lines of libraries are kept from the terminal: notices, and nothing that a user needs."""

import pytest

from headrace.foreign_lines import (
    handle_foreign_lines,
    is_notice,
    write_all_lines,
    write_foreign_line,
)

# As the libraries print them, from their sources and from public bug trackers.
NOTICES = [
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1732700000.123456   12345 cuda_dnn.cc:529] Loaded cuDNN version 90300",
    "I0000 00:00:1732700000.1 1 gpu_device.cc:2022] Created device /job:localhost/replica:0",
    "W0000 00:00:1732700000.123456   12345 gpu_timer.cc:114] Skipping the delay kernel",
    "2026-11-30 16:00:00.123456: I tensorflow/core/platform/cpu_feature_guard.cc:210] This Tensor",
    "2026-11-30 16:00:00.123456: W tensorflow/core/framework/local_rendezvous.cc:404] Local rend",
    "E0000 00:00:1732700000.1 1 cuda_dnn.cc:8310] Unable to register cuDNN factory: Attempting to",
    "2026-11-30 16:00:00.1: E external/local_xla/xla/stream_executor/cuda/cuda_blas.cc:1452] "
    "Unable to register cuBLAS factory: Attempting to register factory",
    "[2026-11-30 16:00:00.123456: W /tmp/horovod/common/stall_inspector.cc:107] One or more",
    "[2026-11-30 16:00:00.123456: I /tmp/horovod/common/operations.cc:675] Horovod has started",
    "node7:4121:4180 [0] NCCL INFO Bootstrap : Using eth0:10.0.0.7<0>",
    "Matplotlib is building the font cache; this may take a moment.",
    "/usr/lib/python3/site-packages/keras/src/x.py:12: UserWarning: a layer",
    "  warnings.warn(",
]
NEEDED = [
    "epoch 3",
    "E0000 00:00:1732700000.1 1 allocator.cc:1] Failed to allocate 3 GiB",
    "2026-11-30 16:00:00.123456: E tensorflow/core/x.cc:1] out of memory",
    "2026-11-30 16:00:00.123456: F tensorflow/core/x.cc:1] check failed",
    "[2026-11-30 16:00:00.123456: E /tmp/horovod/common/operations.cc:1] failed",
    "Traceback (most recent call last):",
    "/home/me/model.py:3: UserWarning: my own",
    "I0 is a column of mine",
    "shape (None, 3)",
    "",
]


@pytest.mark.parametrize("line", NOTICES)
@pytest.mark.parametrize("source", ["", "[rank 3] ", "[unassigned rank] "])
def test_notices_are_told_apart(source: str, line: str) -> None:
    assert is_notice(source + line)


@pytest.mark.parametrize("line", NEEDED)
def test_what_users_print_and_errors_are_none(line: str) -> None:
    assert not is_notice(line)
    assert not is_notice(f"[rank 0] {line}")


def test_without_a_handler_notices_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    for line in (NOTICES[0], "mine\n", "\x1b[2Jcleared"):
        write_foreign_line("rank 1", line)
    assert capsys.readouterr() == ("", "[rank 1] mine\n[rank 1] \\x1b[2Jcleared\n")


def test_an_agent_passes_all_on_to_whoever_shows_them(capsys: pytest.CaptureFixture[str]) -> None:
    with handle_foreign_lines(write_all_lines):
        write_foreign_line("rank 1", NOTICES[0])
    assert capsys.readouterr().err == f"[rank 1] {NOTICES[0]}\n"


def test_a_handler_is_told_which_ones_are_notices() -> None:
    taken: list[tuple[str, bool]] = []
    with handle_foreign_lines(lambda line, is_notice: taken.append((line, is_notice))):
        write_foreign_line("", f"[rank 0] {NOTICES[0]}")
        write_foreign_line("host", "mine")
    assert taken == [(f"[rank 0] {NOTICES[0]}", True), ("[host] mine", False)]
