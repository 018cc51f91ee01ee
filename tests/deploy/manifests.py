"""What `kubectl apply -k` would send, and the pods that come of it."""

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
SERVERS = {"mlflow", "postgres"}  # components that are no stage
OVERLAYS = sorted(
    str(path.parent.relative_to(KUBERNETES / "overlays"))
    for path in KUBERNETES.glob("overlays/*/*/kustomization.yaml")
)


class Pod(NamedTuple):
    """A pod template, and what makes pods of it.

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
def rendered(overlay: str) -> tuple[dict[str, Any], ...]:
    """The documents of an overlay, such as `local/prepare`."""
    folder = str(KUBERNETES / "overlays" / overlay)
    done = subprocess.run(
        [tool("kubectl"), "kustomize", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def tool(name: str) -> str:
    """A program that set-up brought."""
    places = [Path(sys.executable).parent, ROOT / ".tools/uv/bin", Path.home() / ".local/bin"]
    path = os.pathsep.join([*map(str, places), os.environ["PATH"]])
    found = shutil.which(name, path=path)
    assert found, f"{name} is missing: run make setup"
    return found


def pods(documents: tuple[dict[str, Any], ...]) -> Iterator[Pod]:
    """All pod templates, those of custom resources among them."""
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


def all_pods() -> list[tuple[str, Pod]]:
    """Those of all overlays, each with its overlay."""
    return [(overlay, pod) for overlay in OVERLAYS for pod in pods(rendered(overlay))]


def is_spark(pod: Pod) -> bool:
    return pod.owner["kind"] == "SparkApplication"


def one(documents: tuple[dict[str, Any], ...], kind: str, name: str) -> dict[str, Any]:
    (found,) = (d for d in documents if (d["kind"], d["metadata"]["name"]) == (kind, name))
    return found


def platform_of(overlay: str) -> str:
    """Which of `PLATFORMS` the stages of an overlay stand on."""
    return "local" if overlay.startswith("local") else "s3"


def environment(platform: str) -> dict[str, str]:
    """Of the stages, as a platform overlay says it."""
    return one(rendered(f"{platform}/platform"), "ConfigMap", "headrace-environment")["data"]
