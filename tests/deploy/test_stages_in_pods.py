"""What pods run: true to the command line, to the recipe, and to each other."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from headrace.cli import app
from headrace.recipe import load_recipe
from tests.deploy.manifests import (
    KUBERNETES,
    OVERLAYS,
    PLATFORMS,
    ROOT,
    SERVERS,
    Pod,
    all_pods,
    environment,
    is_spark,
    one,
    platform_of,
    pods,
    rendered,
)  # fmt: skip

IN_THE_IMAGE = "local:///opt/headrace/"


def command_lines() -> list[list[str]]:
    """The words after `headrace`, of all pods."""
    return [words for overlay, pod in all_pods() for words in lines_of(overlay, pod)]


def lines_of(overlay: str, pod: Pod) -> list[list[str]]:
    lines = [container.get("args", [""]) for container in pod.containers]
    if is_spark(pod):
        spec = pod.owner["spec"]
        job = spec["mainApplicationFile"].removeprefix(IN_THE_IMAGE)
        assert (ROOT / job).is_file()
        lines = [["headrace", Path(job).stem, *spec["arguments"]]]
    known = environment(platform_of(overlay))
    found = []
    for words in [[filled(word, known) for word in words] for words in lines]:
        if words[0] == "/opt/headrace/judge.sh":
            found += [[stage, *words[1:]] for stage in ("evaluate", "promote")]
        elif "headrace" in words:
            found.append(words[words.index("headrace") + 1 :])
        else:
            assert pod.labels["app.kubernetes.io/component"] in SERVERS
    return found


def filled(word: str, known: dict[str, str]) -> str:
    """As Kubernetes fills in a container's arguments."""
    return re.sub(r"\$\((\w+)\)", lambda name: known.get(name[1], name[0]), word)


def parsed(words: list[str]) -> dict[str, Any]:
    """The options as `headrace` reads them, without doing anything."""
    command: Any = typer.main.get_command(app)
    while isinstance(command, TyperGroup):
        command, words = command.commands[words[0]], words[1:]
    options: dict[str, Any] = command.make_context("headrace", list(words)).params
    return options


def test_the_command_line_knows_what_pods_run() -> None:
    lines = command_lines()
    for words in lines:
        assert parsed(words).get("recipe") == (
            None if words[0] == "lake" else "/etc/headrace/flights.yaml"
        )
    assert {words[0] for words in lines} == {
        "lake", "prepare", "train", "evaluate", "promote", "score",
    }  # fmt: skip
    scores = [words for words in lines if words[0] == "score"]
    assert {parsed(words)["input_"] for words in scores} == {
        "/data/lake/flights/flights", "s3a://headrace/lake/flights/flights",
    }  # fmt: skip
    with pytest.raises(TyperException, match="No such option"):
        parsed([*scores[0], "--chekpoint"])


def test_mlflow_knows_how_it_is_started() -> None:
    from mlflow.cli import server

    for platform in PLATFORMS:
        (pod,) = (
            p for p in pods(rendered(f"{platform}/platform")) if p.owner["kind"] == "Deployment"
        )
        words = pod.spec["containers"][0]["args"]
        assert words[0] == "server"
        context = server.make_context("server", words[1:])
        assert context.params["host"] == "0.0.0.0"
        settings = one(rendered(f"{platform}/platform"), "ConfigMap", "headrace-mlflow")["data"]
        # Without a driver's name SQLAlchemy takes psycopg 3.
        assert settings["MLFLOW_BACKEND_STORE_URI"].startswith("postgresql+psycopg2://")
        known = {parameter.envvar for parameter in server.params}
        assert set(settings) - known <= {"AWS_DEFAULT_REGION", "MLFLOW_S3_ENDPOINT_URL"}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_recipe_is_that_of_conf_elsewhere(platform: str, tmp_path: Path) -> None:
    config = one(rendered(f"{platform}/platform"), "ConfigMap", "headrace-recipe")["data"]
    (tmp_path / "flights.yaml").write_text(config["flights.yaml"])
    known = environment(platform)
    recipe = load_recipe(str(tmp_path / "flights.yaml"), workdir="w", environment=known)
    there = recipe.resolved()
    here = load_recipe(str(ROOT / "conf/flights.yaml"), workdir="w", environment={}).resolved()
    assert there["lake"] == known["HEADRACE_LAKE"]
    assert there["dataset"]["path"] == f"{known['HEADRACE_DATASETS']}/flights"
    assert there["train"]["checkpoint"]["path"] == known["HEADRACE_CHECKPOINTS"]
    for other in (there, here):
        del other["lake"], other["dataset"]["path"], other["train"]["checkpoint"]["path"]
        del other["spark"]["conf"], other["schedule"]  # a CronJob has it here
        for table in other["source"]["tables"].values():
            del table["path"]
    assert there == here


@pytest.mark.parametrize("overlay", [o for o in OVERLAYS if "/train" in o])
def test_ranks_are_counted_alike_everywhere(overlay: str) -> None:
    (job,) = rendered(overlay)
    spec = job["spec"]
    assert spec["runLauncherAsWorker"]  # workers are counted from 1, and the launcher has ranks
    pods_in_all = 1 + spec["mpiReplicaSpecs"]["Worker"]["replicas"]
    commands = []
    for pod in pods((job,)):
        (container,) = pod.containers
        values = {v["name"]: v.get("value") for v in container["env"]}
        assert values["PODS"] == str(pods_in_all)
        assert values["RANKS_PER_POD"] == str(spec["slotsPerWorker"])
        assert values["MASTER_ADDR"] == f"{job['metadata']['name']}-launcher"
        gpus = container["resources"]["limits"].get("nvidia.com/gpu")
        assert gpus == (spec["slotsPerWorker"] if overlay.startswith("gpu") else None)
        assert ("gpu" in container["image"]) == overlay.startswith("gpu")
        commands.append(container["args"])
    assert commands[0] == commands[1]
    most = [word for word in commands[0] if word.startswith("--max-ranks=")]
    assert most in ([], [f"--max-ranks={pods_in_all * spec['slotsPerWorker']}"])


def test_the_manuals_name_what_there_is() -> None:
    kubernetes = (KUBERNETES / "README.md").read_text()
    applied = set(re.findall(r"-k overlays/(\S+?)[`\s]", kubernetes))
    assert applied <= set(OVERLAYS)
    assert {overlay for overlay in OVERLAYS if overlay.startswith("local/")} <= applied
    docker = (ROOT / "deploy/docker/README.md").read_text().replace("\\\n", " ")
    lines = re.findall(r"run --rm headrace headrace (.*)", docker)
    assert [words.split()[0] for words in lines] == ["lake", "run"]
    for words in lines:
        parsed(words.split())
