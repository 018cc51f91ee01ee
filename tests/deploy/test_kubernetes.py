"""The manifests as kubectl sends them: valid for their APIs, complete, and safe."""

import re
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.deploy.fields import find_violations, load_fields
from tests.deploy.manifests import (
    KUBERNETES,
    OVERLAYS,
    ROOT,
    SERVERS,
    Pod,
    find_document,
    is_spark,
    list_all_pods,
    list_pods,
    render_overlay,
)  # fmt: skip

VERSION = "1.34"  # of Kubernetes
CUSTOM = {
    "SparkApplication": "sparkoperator.k8s.io/v1beta2",
    "MPIJob": "kubeflow.org/v2beta1",
}
# Created by hand, or by an operator.
BY_HAND = {
    ("Secret", "headrace-postgres"): {"password"},
    ("Secret", "headrace-ranks"): {"secret"},
    ("Secret", "headrace-s3"): {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
}


def find_problems(document: dict[str, Any]) -> list[str]:
    """Return what the API server would refuse or drop."""
    kind = document["kind"]
    if kind not in CUSTOM:
        try:
            kubernetes_validate.validate(document, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            return [f"{'.'.join(map(str, error.path))}: {error.message}"]
        return []
    problems = find_violations(document, load_fields(kind.lower()))
    for pod in list_pods((document,)):
        template = {"metadata": {"labels": pod.labels}, "spec": pod.spec}
        whole = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}}
        problems += find_problems({**whole, "template": template})
    return problems


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_apis_know_every_field(overlay: str) -> None:
    for document in render_overlay(overlay):
        where = f"{document['kind']} {document['metadata']['name']}"
        assert (where, find_problems(document)) == (where, [])
        assert document["apiVersion"] == CUSTOM.get(document["kind"], document["apiVersion"])
        if document["kind"] != "Namespace":
            assert document["metadata"]["namespace"] == "headrace", where


@pytest.mark.parametrize(
    ("overlay", "path", "expected"),
    [
        ("local/prepare", "spec.sparkVersoin", "spec.sparkVersoin: there is no such field"),
        ("local/prepare", "spec.driver.memoryOverHead", "memoryOverHead: there is no such field"),
        ("local/prepare", "spec.driver.template.spec.volume", "'volume' was unexpected"),
        ("local/train", "spec.runPolicy.cleanPodPolicies", "there is no such field"),
        ("local/train", "spec.mpiReplicaSpecs.Worker.replica", "Worker.replica: there is no such"),
        ("local/train", "spec.mpiReplicaSpecs.Worker.template.spec.node", "spec.node: there is no"),
        ("local/nightly", "spec.concurrency", "'concurrency' was unexpected"),
    ],
)
def test_a_field_that_does_not_exist_is_found(overlay: str, path: str, expected: str) -> None:
    (document,) = render_overlay(overlay)
    document = yaml.safe_load(yaml.safe_dump(document))
    *parents, name = path.split(".")
    section = document
    for parent in parents:
        section = section[parent]
    section[name] = "x"
    assert any(expected in problem for problem in find_problems(document)), find_problems(document)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"type": "Ruby"}, ["spec.type: 'Ruby' is no enum Java Python Scala R"]),
        ({"driver": {"cores": "one"}}, ["spec.driver.cores: 'one' is no integer"]),
        ({"arguments": "a b"}, ["spec.arguments: 'a b' is no list"]),
        ({"driver": None}, ["spec.driver: None is no mapping"]),
    ],
)
def test_a_value_of_another_type_is_found(document: dict[str, Any], expected: list[str]) -> None:
    whole = {
        **find_document(render_overlay("local/prepare"), "SparkApplication", "headrace-prepare")
    }
    whole["spec"] = {**whole["spec"], **document}
    assert find_violations(whole, load_fields("sparkapplication")) == expected
    del whole["spec"]["mainApplicationFile"]
    missing = "spec.mainApplicationFile: is missing"
    assert missing in find_violations(whole, load_fields("sparkapplication"))


def test_images_are_named_exactly() -> None:
    version = find_document(render_overlay("local/prepare"), "SparkApplication", "headrace-prepare")
    images = {version["spec"]["image"]}
    images |= {
        c["image"] for _, pod in list_all_pods() for c in pod.containers if not is_spark(pod)
    }
    project = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.M)
    assert project
    assert {image.partition("@")[0].rpartition("/")[2] for image in images} == {
        f"headrace:{project[1]}",
        f"headrace-gpu:{project[1]}",
        f"headrace-mlflow:{project[1]}",
        "postgres:17.10-bookworm",
    }
    ours = {image for image in images if "headrace" in image}
    assert {image.rpartition("/")[0] for image in ours} == {"registry.example.com"}


def test_pods_have_no_rights_that_they_do_not_need() -> None:
    for overlay, pod in list_all_pods():
        where = f"{overlay} {pod.role}"
        context = pod.spec["securityContext"]
        assert context["runAsNonRoot"], where
        assert context["runAsUser"] > 0, where
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, where
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod.spec), where
        assert not any("hostPath" in volume for volume in pod.spec["volumes"]), where
        for container in pod.containers:
            own = container["securityContext"]
            assert own == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, where
            # The root file system is read-only, so this has to be there.
            assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}, where
        if not is_spark(pod):
            assert pod.spec["automountServiceAccountToken"] is False, where
    namespace = find_document(render_overlay("local/platform"), "Namespace", "headrace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_pods_have_limits_and_servers_have_probes() -> None:
    for overlay, pod in list_all_pods():
        if is_spark(pod):
            sizes = pod.owner["spec"][pod.role]
            assert {"cores", "coreLimit", "memory", "memoryOverhead"} <= set(sizes), overlay
            continue
        for container in pod.containers:
            resources = container["resources"]
            assert {"cpu", "memory"} <= set(resources["requests"]), overlay
            assert {"cpu", "memory"} <= set(resources["limits"]), overlay
            probes = {"startupProbe", "readinessProbe", "livenessProbe"} & set(container)
            assert len(probes) == (3 if container["name"] in SERVERS else 0), overlay


def list_references(pod: Pod) -> set[tuple[str, str, str]]:
    """Return kind, name and key of all that a pod refers to; "" for all keys."""
    targets = set()
    for container in pod.containers:
        for source in container.get("envFrom", []):
            kind = "Secret" if "secretRef" in source else "ConfigMap"
            (reference,) = source.values()
            targets.add((kind, reference["name"], ""))
        for variable in container.get("env", []):
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            if reference:
                targets.add(("Secret", reference["name"], reference["key"]))
    for volume in pod.spec["volumes"]:
        if "configMap" in volume:
            targets.add(("ConfigMap", volume["configMap"]["name"], ""))
        if "persistentVolumeClaim" in volume:
            claim = volume["persistentVolumeClaim"]["claimName"]
            targets.add(("PersistentVolumeClaim", claim, ""))
    account = pod.owner["spec"][pod.role]["serviceAccount"] if is_spark(pod) else None
    targets.add(("ServiceAccount", account or pod.spec["serviceAccountName"], ""))
    return targets


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_pods_refer_to_is_there(overlay: str) -> None:
    platform = "local" if overlay.startswith("local") else "s3"
    available = {(d["kind"], d["metadata"]["name"]) for d in render_overlay(f"{platform}/platform")}
    for pod in list_pods(render_overlay(overlay)):
        for kind, name, key in list_references(pod):
            if kind == "Secret":
                assert not key or key in BY_HAND[kind, name]
            else:
                assert (kind, name) in available
        mounted = {m["name"] for c in pod.containers for m in c["volumeMounts"]}
        claims = {c["metadata"]["name"] for c in pod.owner["spec"].get("volumeClaimTemplates", [])}
        assert mounted == {volume["name"] for volume in pod.spec["volumes"]} | claims


def test_no_secret_is_written_down() -> None:
    secret = re.compile(r"PASS|SECRET|TOKEN|ACCESS_KEY|CREDENTIAL", re.I)
    for overlay in OVERLAYS:
        for document in render_overlay(overlay):
            assert document["kind"] != "Secret"
            for name in document.get("data", {}):
                assert not secret.search(name), f"{overlay}: {name}"
        for pod in list_pods(render_overlay(overlay)):
            for container in pod.containers:
                for variable in container.get("env", []):
                    if secret.search(variable["name"]):
                        assert set(variable["valueFrom"]) == {"secretKeyRef"}, overlay
    readme = (KUBERNETES / "README.md").read_text()
    for _, name in BY_HAND:
        assert f"create secret generic {name}" in readme


def test_stages_share_a_volume_or_have_credentials() -> None:
    for overlay, pod in list_all_pods():
        if "headrace.stage" not in pod.labels:
            continue
        kinds = {(kind, name) for kind, name, _ in list_references(pod)}
        shared = ("PersistentVolumeClaim", "headrace-data") in kinds
        credentials = ("Secret", "headrace-s3") in kinds
        assert (shared, credentials) == (overlay.startswith("local"), not shared), overlay
