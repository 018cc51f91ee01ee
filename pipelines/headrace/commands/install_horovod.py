"""Compile and install Horovod, for training on several ranks: the command install-horovod."""

from headrace.commands.frame import open_command
from headrace.commands.options import Json


def install_horovod(json_: Json = False) -> None:
    """Compile Horovod against this environment's TensorFlow, install it and load it.

    Takes 2 to 10 minutes and needs g++ and make. pip by itself would build Horovod without
    TensorFlow. HOROVOD_GPU_OPERATIONS=NCCL in the environment builds it for GPUs.

    Example: pip install 'headrace[horovod]' && headrace install-horovod
    """
    with open_command("install-horovod", json_, extras=["train"]) as command:
        from headrace.distributed.install_horovod import HOROVOD
        from headrace.distributed.install_horovod import install_horovod as install

        with command.console.track_stage("install-horovod") as report:
            install(report)
        command.console.print_line(f"{HOROVOD} is installed, and loads with TensorFlow")
        command.report_result({"installed": HOROVOD})
