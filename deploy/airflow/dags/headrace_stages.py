"""What one task does: a stage of the pipeline, the wait for its input, or saying why there is none.

Headrace runs in an environment of its own, as a process. Its exit code says whether trying again
makes sense (1 and signals), does not (2, a bad recipe), or nothing is broken and a gate failed (3).
Its result, one JSON object, becomes the task's XCom.
"""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import BaseOperator, BaseOperatorLink, BaseSensorOperator, ObjectStoragePath
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

BAD_RECIPE, FAILED_GATE = 2, 3
# Seconds that a stage has between SIGTERM and SIGKILL once its time is up: a training writes a
# checkpoint after the step that is under way.
GRACE = 120


class MlflowRun(BaseOperatorLink):
    """Leads from a task to its run, where MLflow is served over HTTP."""

    name = "MLflow run"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Called in the task's own process, when it has ended."""
        return getattr(operator, "mlflow_page", "")


class Stage(BaseOperator):
    """What the operators of stages have in common."""

    mlflow_page = ""
    operator_extra_links = (MlflowRun(),)

    def __init__(
        self,
        *,
        home: str,
        command: str,
        arguments: list[str],
        overrides: dict[str, str],
        on_failed_gate: Literal["succeed", "skip", "fail"] = "fail",
        **settings: Any,
    ) -> None:
        """
        Args:
            home: the project's folder; working directory of the stage.
            command: of `headrace`.
            arguments: of the command, templated.
            overrides: keys of the recipe -> values, templated.
            on_failed_gate: what exit code 3 makes of the task.
            settings: of the operator.
        """
        super().__init__(**settings)
        self.home, self.command = home, command
        self.arguments, self.overrides = arguments, overrides
        self.on_failed_gate = on_failed_gate

    def words(self) -> list[str]:
        """The arguments, overrides included; JSON is YAML that no value can break."""
        settings = [f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in self.overrides.items()]
        return [*self.arguments, "--json", *(w for s in settings for w in ("--set", s))]

    def concluded(self, code: int, result: dict[str, Any] | None) -> dict[str, Any]:
        """The result of a stage that ended with `code`.

        Raises:
            AirflowFailException: trying again would not help.
            AirflowSkipException: a gate failed, and the task is not needed then.
            AirflowException: trying again may help.
        """
        result = result or {}
        run_id = result.get("run_id") or result.get("prepare_run_id")
        store = result.get("tracking_uri")
        if run_id and store:
            if store.startswith("http"):
                self.mlflow_page = f"{store.rstrip('/')}/#/runs/{run_id}"
            self.log.info("MLflow run %s", self.mlflow_page or f"{run_id} in {store}")
        if code == 0 or (code == FAILED_GATE and self.on_failed_gate == "succeed"):
            if not result:
                raise AirflowException(f"exit code {code}, and no result was printed")
            return result
        why = result.get("error", {}).get("message") or f"exit code {code}"
        if code == FAILED_GATE and self.on_failed_gate == "skip":
            raise AirflowSkipException(why)
        if code in (BAD_RECIPE, FAILED_GATE):
            raise AirflowFailException(why)
        raise AirflowException(why)


def result_in(line: str) -> dict[str, Any] | None:
    """The result of a command, if `line` is it."""
    if line.startswith('{"'):
        with contextlib.suppress(ValueError):
            found = json.loads(line)
            if "command" in found and "ok" in found:
                return found
    return None


class CommandStage(Stage):
    """`headrace COMMAND` as a process of this worker.

    Not Airflow's SubprocessHook, which mixes the result with what is said on standard error, and
    leaves a process to itself whose time is up.
    """

    template_fields = ("arguments", "overrides")

    _process: "subprocess.Popen[str] | None" = None

    def execute(self, context: Any) -> dict[str, Any]:
        words = [f"{self.home}/.venv/bin/headrace", self.command, *self.words()]
        self.log.info("Running %s", words)
        with tempfile.TemporaryFile("w+") as out:
            # A session of its own: what ends the task's process group leaves it to end by itself.
            self._process = process = subprocess.Popen(
                words, cwd=self.home, stdout=out, stderr=subprocess.PIPE, text=True,
                errors="backslashreplace", start_new_session=True,
            )  # fmt: skip
            try:
                self._log_until_its_end(process)
            except BaseException:  # AirflowTaskTimeout is one
                process.terminate()
                last = threading.Timer(GRACE, os.killpg, (process.pid, signal.SIGKILL))
                last.start()
                self._log_until_its_end(process)
                last.cancel()
                raise
            out.seek(0)
            lines = out.read().splitlines()
        return self.concluded(process.returncode, result_in(lines[-1]) if lines else None)

    def on_kill(self) -> None:
        """Airflow gives a task that is to end 5 seconds; the stage takes what it needs."""
        if self._process:
            self._process.terminate()

    def _log_until_its_end(self, process: "subprocess.Popen[str]") -> None:
        for line in process.stderr or ():
            self.log.info("%s", line.rstrip())
        process.wait()


class SparkStage(Stage, SparkSubmitOperator):
    """`spark-submit jobs/COMMAND.py`, with the driver on this worker.

    In client mode spark-submit ends with the exit code of the Python program; in cluster mode that
    code and the result would stay on the cluster. SparkSubmitOperator keeps neither, so they are
    taken from its hook.
    """

    template_fields = (*SparkSubmitOperator.template_fields, "arguments", "overrides")

    _result: "dict[str, Any] | None" = None

    def __init__(self, *, home: str, command: str, **settings: Any) -> None:
        python = f"{home}/.venv/bin/python"
        super().__init__(
            home=home,
            command=command,
            application=f"{home}/jobs/{command}.py",
            spark_binary=f"{home}/.venv/bin/spark-submit",
            deploy_mode="client",
            env_vars={"PYSPARK_PYTHON": python, "PYSPARK_DRIVER_PYTHON": python},
            name=f"headrace {command}",
            **settings,
        )

    def execute(self, context: Any) -> dict[str, Any]:
        self.application_args = self.words()
        code = 0
        with contextlib.chdir(self.home):
            try:
                super().execute(context)
            except AirflowException:
                submitted = self._hook and self._hook._submit_sp
                code = submitted.returncode if submitted else 0
                if not code:
                    raise
        return self.concluded(code, self._result)

    def _get_hook(self) -> Any:
        hook = super()._get_hook()
        read = hook._process_spark_submit_log
        hook._process_spark_submit_log = lambda lines: read(self._watched(lines))
        return hook

    def _watched(self, lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            self._result = result_in(line) or self._result
            yield line


class Arrived(BaseSensorOperator):
    """Wait for a file, a folder or an object's URL, without keeping a worker meanwhile."""

    template_fields: Sequence[str] = ("place",)

    def __init__(self, *, place: str, **settings: Any) -> None:
        super().__init__(mode="reschedule", poke_interval=60, **settings)
        self.place = place

    def poke(self, context: Any) -> bool:
        try:
            there = ObjectStoragePath(self.place).exists()
        except (ValueError, ImportError) as error:  # no such scheme
            raise AirflowFailException(
                f"{self.place}: {error}; install the Airflow provider of this store"
            ) from error
        self.log.info("%s is %s", self.place, "there" if there else "not there yet")
        return there


class Broken(BaseOperator):
    """Fail with the problems of a recipe that cannot run."""

    def __init__(self, *, problems: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.problems = problems

    def execute(self, context: Any) -> None:
        raise AirflowFailException(self.problems)
