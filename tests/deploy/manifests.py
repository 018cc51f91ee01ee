"""Render what `kubectl apply -k` would send, and find the pods in it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
PLATFORMS = ("local", "s3")
SERVERS = {"mlflow", "postgres"}  # components that are not stages
OVERLAYS = sorted(
    str(path.parent.relative_to(KUBERNETES / "overlays"))
    for path in KUBERNETES.glob("overlays/*/*/kustomization.yaml")
)


class Pod(NamedTuple):
    """A pod template, and the workload that creates its pods.

    Attributes:
        owner: the workload.
        role: `driver`, `executor`, `Launcher`, `Worker`; "" where there is one template.
        labels, spec: of the pods.
    """

    owner: dict[str, Any]
    role: str
    labels: dict[str, str]
    spec: dict[str, Any]

    @property
    def containers(self) -> list[dict[str, Any]]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]


@cache
def render_overlay(overlay: str) -> tuple[dict[str, Any], ...]:
    """Return the documents of an overlay, such as `local/prepare`."""
    folder = str(KUBERNETES / "overlays" / overlay)
    done = subprocess.run(
        [find_tool("kubectl"), "kustomize", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def find_tool(name: str) -> str:
    """Return the path of a program that set-up installs."""
    folders = [Path(sys.executable).parent, ROOT / ".tools/uv/bin", Path.home() / ".local/bin"]
    path = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
    program = shutil.which(name, path=path)
    assert program, f"{name} is missing: run make setup"
    return program


def list_pods(documents: tuple[dict[str, Any], ...]) -> Iterator[Pod]:
    """Return all pod templates, including those of custom resources."""
    for document in documents:
        spec = document.get("spec", {})
        match document["kind"]:
            case "Job" | "Deployment" | "StatefulSet":
                templates = {"": spec["template"]}
            case "CronJob":
                templates = {"": spec["jobTemplate"]["spec"]["template"]}
            case "MPIJob":
                templates = {role: s["template"] for role, s in spec["mpiReplicaSpecs"].items()}
            case "SparkApplication":
                templates = {role: spec[role]["template"] for role in ("driver", "executor")}
            case _:
                continue
        for role, template in templates.items():
            labels = dict(template["metadata"]["labels"])
            if document["kind"] == "SparkApplication":
                labels["spark-role"] = role  # as Spark adds it
            yield Pod(document, role, labels, template["spec"])


def list_all_pods() -> list[tuple[str, Pod]]:
    """Return the pods of all overlays, each with its overlay."""
    return [(overlay, pod) for overlay in OVERLAYS for pod in list_pods(render_overlay(overlay))]


def is_spark(pod: Pod) -> bool:
    """Return whether Spark's operator creates the pod."""
    return pod.owner["kind"] == "SparkApplication"


def find_document(documents: tuple[dict[str, Any], ...], kind: str, name: str) -> dict[str, Any]:
    """Return the one document of a kind and name."""
    (document,) = (d for d in documents if (d["kind"], d["metadata"]["name"]) == (kind, name))
    return document


def name_platform(overlay: str) -> str:
    """Return which of `PLATFORMS` an overlay's stages run on."""
    return "local" if overlay.startswith("local") else "s3"


def read_environment(platform: str) -> dict[str, str]:
    """Return the environment variables that a platform sets for stages."""
    return find_document(
        render_overlay(f"{platform}/platform"), "ConfigMap", "headrace-environment"
    )["data"]
