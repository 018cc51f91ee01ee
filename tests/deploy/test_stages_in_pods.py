"""The commands of pods agree with the command line, the recipe, and each other."""

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
    find_document,
    is_spark,
    list_all_pods,
    list_pods,
    name_platform,
    read_environment,
    render_overlay,
)  # fmt: skip

IN_THE_IMAGE = "local:///opt/headrace/"


def list_command_lines() -> list[list[str]]:
    """Return the words after `headrace`, of all pods."""
    return [words for overlay, pod in list_all_pods() for words in read_command_lines(overlay, pod)]


def read_command_lines(overlay: str, pod: Pod) -> list[list[str]]:
    lines = [container.get("args", [""]) for container in pod.containers]
    if is_spark(pod):
        spec = pod.owner["spec"]
        job = spec["mainApplicationFile"].removeprefix(IN_THE_IMAGE)
        assert (ROOT / job).is_file()
        lines = [["headrace", Path(job).stem, *spec["arguments"]]]
    variables = read_environment(name_platform(overlay))
    commands = []
    for words in [[fill_variables(word, variables) for word in words] for words in lines]:
        if words[0] == "/opt/headrace/judge.sh":
            commands += [[stage, *words[1:]] for stage in ("evaluate", "promote")]
        elif "headrace" in words:
            commands.append(words[words.index("headrace") + 1 :])
        else:
            assert pod.labels["app.kubernetes.io/component"] in SERVERS
    return commands


def fill_variables(word: str, variables: dict[str, str]) -> str:
    """Fill in the variables of a container's argument as Kubernetes does."""
    return re.sub(r"\$\((\w+)\)", lambda match: variables.get(match[1], match[0]), word)


def parse_options(words: list[str]) -> dict[str, Any]:
    """Parse the options as `headrace` does, without running the command."""
    command: Any = typer.main.get_command(app)
    while isinstance(command, TyperGroup):
        command, words = command.commands[words[0]], words[1:]
    options: dict[str, Any] = command.make_context("headrace", list(words)).params
    return options


def test_the_command_line_knows_what_pods_run() -> None:
    lines = list_command_lines()
    for words in lines:
        assert parse_options(words).get("recipe") == (
            None if words[0] == "lake" else "/etc/headrace/flights.yaml"
        )
    assert {words[0] for words in lines} == {
        "lake", "prepare", "train", "evaluate", "promote", "score",
    }  # fmt: skip
    scores = [words for words in lines if words[0] == "score"]
    assert {parse_options(words)["input_"] for words in scores} == {
        "/data/lake/flights/flights", "s3a://headrace/lake/flights/flights",
    }  # fmt: skip
    with pytest.raises(TyperException, match="No such option"):
        parse_options([*scores[0], "--chekpoint"])


def test_mlflow_knows_how_it_is_started() -> None:
    from mlflow.cli import server

    for platform in PLATFORMS:
        (pod,) = (
            p
            for p in list_pods(render_overlay(f"{platform}/platform"))
            if p.owner["kind"] == "Deployment"
        )
        words = pod.spec["containers"][0]["args"]
        assert words[0] == "server"
        context = server.make_context("server", words[1:])
        assert context.params["host"] == "0.0.0.0"
        settings = find_document(
            render_overlay(f"{platform}/platform"), "ConfigMap", "headrace-mlflow"
        )["data"]
        # Without a driver's name SQLAlchemy takes psycopg 3.
        assert settings["MLFLOW_BACKEND_STORE_URI"].startswith("postgresql+psycopg2://")
        variables = {parameter.envvar for parameter in server.params}
        assert set(settings) - variables <= {"AWS_DEFAULT_REGION", "MLFLOW_S3_ENDPOINT_URL"}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_recipe_is_that_of_conf_elsewhere(platform: str, tmp_path: Path) -> None:
    config = find_document(render_overlay(f"{platform}/platform"), "ConfigMap", "headrace-recipe")[
        "data"
    ]
    (tmp_path / "flights.yaml").write_text(config["flights.yaml"])
    variables = read_environment(platform)
    recipe = load_recipe(str(tmp_path / "flights.yaml"), workdir="w", environment=variables)
    in_pods = recipe.dump_resolved()
    in_conf = load_recipe(
        str(ROOT / "conf/flights.yaml"), workdir="w", environment={}
    ).dump_resolved()
    assert in_pods["lake"] == variables["HEADRACE_LAKE"]
    assert in_pods["dataset"]["path"] == f"{variables['HEADRACE_DATASETS']}/flights"
    assert in_pods["train"]["checkpoint"]["path"] == variables["HEADRACE_CHECKPOINTS"]
    for tree in (in_pods, in_conf):
        del tree["lake"], tree["dataset"]["path"], tree["train"]["checkpoint"]["path"]
        del tree["spark"]["conf"], tree["schedule"]  # in pods a CronJob has the schedule
        for table in tree["source"]["tables"].values():
            del table["path"]
    assert in_pods == in_conf


@pytest.mark.parametrize("overlay", [o for o in OVERLAYS if "/train" in o])
def test_ranks_are_counted_alike_everywhere(overlay: str) -> None:
    (job,) = render_overlay(overlay)
    spec = job["spec"]
    assert spec["runLauncherAsWorker"]  # workers are counted from 1, and the launcher has ranks
    pods_in_all = 1 + spec["mpiReplicaSpecs"]["Worker"]["replicas"]
    commands = []
    for pod in list_pods((job,)):
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
        parse_options(words.split())
