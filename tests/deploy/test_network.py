"""The connections that the network policies allow."""

from typing import Any

import pytest

from tests.deploy.manifests import PLATFORMS, list_pods, read_environment, render_overlay

MLFLOW, POSTGRES = "platform mlflow", "platform postgres"


@pytest.mark.parametrize(
    ("platform", "source", "target", "port", "allowed"),
    [
        ("local", MLFLOW, POSTGRES, 5432, True),
        ("local", "train Worker", MLFLOW, 5000, True),
        ("local", "prepare driver", MLFLOW, 5000, True),
        ("local", "nightly ", MLFLOW, 5000, True),
        ("local", "train Worker", POSTGRES, 5432, False),
        ("local", POSTGRES, MLFLOW, 5000, False),
        ("local", MLFLOW, MLFLOW, 22, False),
        ("local", "train Worker", "train Launcher", 29461, True),
        ("local", "train Launcher", "train Worker", 45678, True),
        ("local", "prepare driver", "prepare executor", 45678, True),
        ("local", "prepare executor", "prepare driver", 7078, True),
        ("local", "prepare executor", "train Launcher", 29461, False),
        ("local", "nightly ", "train Launcher", 29461, False),
        ("local", "prepare driver", "outside", 6443, True),  # the API server
        ("local", "prepare executor", "outside", 6443, False),
        ("local", "nightly ", "outside", 443, False),
        ("s3", "nightly ", "outside", 443, True),
        ("s3", MLFLOW, "outside", 443, True),
        ("s3", POSTGRES, "outside", 443, False),
        ("s3", "train Worker", "outside", 80, False),
    ],
)  # fmt: skip
def test_who_may_talk_to_whom(
    platform: str, source: str, target: str, port: int, allowed: bool
) -> None:
    policies = [
        d["spec"] for d in render_overlay(f"{platform}/platform") if d["kind"] == "NetworkPolicy"
    ]
    source_labels, target_labels = find_labels(platform, source), find_labels(platform, target)
    egress = is_allowed(policies, "Egress", source_labels, target_labels, port)
    ingress = target == "outside" or is_allowed(
        policies, "Ingress", target_labels, source_labels, port
    )
    assert (egress and ingress) is allowed


def find_labels(platform: str, name: str) -> dict[str, str] | None:
    """Return the labels of an overlay's pods in a role (platform: a component).

    Returns None for what is outside the cluster.
    """
    if name == "outside":
        return None
    overlay, _, role = name.partition(" ")
    for pod in list_pods(render_overlay(f"{platform}/{overlay}")):
        if role in (pod.role, pod.labels["app.kubernetes.io/component"]):
            return pod.labels
    raise AssertionError(name)


def is_allowed(
    policies: list[dict[str, Any]],
    direction: str,
    pod: dict[str, str] | None,
    peer: dict[str, str] | None,
    port: int,
) -> bool:
    """Return whether the policies allow a pod's connection; without a policy, all are allowed."""
    assert pod is not None
    policies_of_pod = [
        p for p in policies if direction in p["policyTypes"] and is_selected(p["podSelector"], pod)
    ]
    side = {"Egress": "to", "Ingress": "from"}[direction]
    for rule in [rule for p in policies_of_pod for rule in p.get(direction.lower(), [])]:
        allows_port = "ports" not in rule or port in {p["port"] for p in rule["ports"]}
        allows_peer = side not in rule or any(
            peer is not None
            and "podSelector" in source
            and is_selected(source["podSelector"], peer)
            for source in rule[side]
        )
        if allows_port and allows_peer:
            return True
    return not policies_of_pod


def is_selected(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    for rule in selector.get("matchExpressions", []):
        assert rule["operator"] == "NotIn"
        if labels.get(rule["key"]) in rule["values"]:
            return False
    return all(labels.get(k) == v for k, v in selector.get("matchLabels", {}).items())


@pytest.mark.parametrize("platform", PLATFORMS)
def test_services_lead_to_pods(platform: str) -> None:
    documents = render_overlay(f"{platform}/platform")
    for service in [d["spec"] for d in documents if d["kind"] == "Service"]:
        (pod,) = (
            pod
            for pod in list_pods(documents)
            if is_selected({"matchLabels": service["selector"]}, pod.labels)
        )
        offered = {p["name"]: p["containerPort"] for c in pod.containers for p in c["ports"]}
        for port in service["ports"]:
            assert offered[port["name"]] == port["port"]
    uri = read_environment(platform)["MLFLOW_TRACKING_URI"]
    assert uri == "http://headrace-mlflow:5000"
