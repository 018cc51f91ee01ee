"""Who may open a connection to whom, as the network policies have it."""

from typing import Any

import pytest

from tests.deploy.manifests import PLATFORMS, environment, pods, rendered

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
    policies = [d["spec"] for d in rendered(f"{platform}/platform") if d["kind"] == "NetworkPolicy"]
    here, there = labels_of(platform, source), labels_of(platform, target)
    out = may(policies, "Egress", here, there, port)
    into = target == "outside" or may(policies, "Ingress", there, here, port)
    assert (out and into) is allowed


def labels_of(platform: str, name: str) -> dict[str, str] | None:
    """Of the pods of an overlay in a role (platform: a component); None outside the cluster."""
    if name == "outside":
        return None
    overlay, _, role = name.partition(" ")
    for pod in pods(rendered(f"{platform}/{overlay}")):
        if role in (pod.role, pod.labels["app.kubernetes.io/component"]):
            return pod.labels
    raise AssertionError(name)


def may(
    policies: list[dict[str, Any]],
    direction: str,
    pod: dict[str, str] | None,
    other: dict[str, str] | None,
    port: int,
) -> bool:
    """Whether the policies let a pod have a connection; without any for it, all are let through."""
    assert pod is not None
    about = [
        p for p in policies if direction in p["policyTypes"] and selects(p["podSelector"], pod)
    ]
    peers = {"Egress": "to", "Ingress": "from"}[direction]
    for rule in [rule for p in about for rule in p.get(direction.lower(), [])]:
        right_port = "ports" not in rule or port in {p["port"] for p in rule["ports"]}
        right_peer = peers not in rule or any(
            other is not None and "podSelector" in peer and selects(peer["podSelector"], other)
            for peer in rule[peers]
        )
        if right_port and right_peer:
            return True
    return not about


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    for rule in selector.get("matchExpressions", []):
        assert rule["operator"] == "NotIn"
        if labels.get(rule["key"]) in rule["values"]:
            return False
    return all(labels.get(k) == v for k, v in selector.get("matchLabels", {}).items())


@pytest.mark.parametrize("platform", PLATFORMS)
def test_services_lead_to_pods(platform: str) -> None:
    documents = rendered(f"{platform}/platform")
    for service in [d["spec"] for d in documents if d["kind"] == "Service"]:
        (pod,) = (
            pod
            for pod in pods(documents)
            if selects({"matchLabels": service["selector"]}, pod.labels)
        )
        offered = {p["name"]: p["containerPort"] for c in pod.containers for p in c["ports"]}
        for port in service["ports"]:
            assert offered[port["name"]] == port["port"]
    where = environment(platform)["MLFLOW_TRACKING_URI"]
    assert where == "http://headrace-mlflow:5000"
