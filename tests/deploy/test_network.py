"""The connections that the network policies allow."""

from ipaddress import ip_address, ip_network
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
        ("local", "prepare driver", "10.96.0.1", 6443, True),  # the API server
        ("local", "prepare driver", "52.218.1.1", 443, False),
        ("local", "prepare executor", "10.96.0.1", 6443, False),
        ("local", "nightly ", "52.218.1.1", 443, False),
        ("s3", "nightly ", "52.218.1.1", 443, True),
        ("s3", "nightly ", "169.254.169.254", 443, False),  # a cloud's credentials
        ("s3", "train Worker", "10.96.0.1", 443, False),
        ("s3", MLFLOW, "52.218.1.1", 443, True),
        ("s3", POSTGRES, "52.218.1.1", 443, False),
        ("s3", "train Worker", "52.218.1.1", 80, False),
    ],
)  # fmt: skip
def test_who_may_talk_to_whom(
    platform: str, source: str, target: str, port: int, allowed: bool
) -> None:
    policies = [
        d["spec"] for d in render_overlay(f"{platform}/platform") if d["kind"] == "NetworkPolicy"
    ]
    source_labels, is_outside = find_labels(platform, source), target[0].isdigit()
    peer = ip_address(target) if is_outside else find_labels(platform, target)
    egress = is_allowed(policies, "Egress", source_labels, peer, port)
    ingress = is_outside or is_allowed(policies, "Ingress", peer, source_labels, port)
    assert (egress and ingress) is allowed


def find_labels(platform: str, name: str) -> dict[str, str]:
    """Return the labels of an overlay's pods in a role (platform: a component)."""
    overlay, _, role = name.partition(" ")
    for pod in list_pods(render_overlay(f"{platform}/{overlay}")):
        if role in (pod.role, pod.labels["app.kubernetes.io/component"]):
            return pod.labels
    raise AssertionError(name)


def is_allowed(
    policies: list[dict[str, Any]],
    direction: str,
    pod: Any,
    peer: Any,
    port: int,
) -> bool:
    """Return whether the policies allow a pod's connection; without a policy, all are allowed."""
    policies_of_pod = [
        p for p in policies if direction in p["policyTypes"] and is_selected(p["podSelector"], pod)
    ]
    side = {"Egress": "to", "Ingress": "from"}[direction]
    for rule in [rule for p in policies_of_pod for rule in p.get(direction.lower(), [])]:
        allows_port = "ports" not in rule or port in {p["port"] for p in rule["ports"]}
        allows_peer = side not in rule or any(is_peer(source, peer) for source in rule[side])
        if allows_port and allows_peer:
            return True
    return not policies_of_pod


def is_peer(rule: dict[str, Any], peer: Any) -> bool:
    """Whether a rule's peer is a pod of those labels, or an address outside."""
    if isinstance(peer, dict):
        return "podSelector" in rule and is_selected(rule["podSelector"], peer)
    block = rule.get("ipBlock", {"cidr": "0.0.0.0/32"})
    return peer in ip_network(block["cidr"]) and not any(
        peer in ip_network(hole) for hole in block.get("except", [])
    )


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
