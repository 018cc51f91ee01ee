"""What machines are told of a command: JSON lines, files for Prometheus, OpenLineage events."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.running import headrace
from tests.tiny import tiny_tree, write_tiny_lake

pytestmark = pytest.mark.e2e


class Receiver:
    """A real HTTP server on loopback that keeps what it is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                receiver.sent.append((self.command, self.path, body))
                self.send_response(200)
                self.end_headers()

            do_PUT = do_POST  # noqa: N815 - the handler's own naming

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("observed")
    write_tiny_lake(folder / "lake")
    tree = tiny_tree()
    tree["source"]["tables"] = {n: {"path": f"{folder}/lake/{n}"} for n in ("visits", "shops")}
    tree["dataset"]["path"] = f"{folder}/dataset"
    (folder / "tiny.yaml").write_text(yaml.safe_dump(tree))
    return folder


def samples(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            rest = tuple(v for k, v in sample.labels.items() if k not in ("recipe", "stage"))
            found.setdefault(sample.name, {})[rest] = sample.value
    return found


def test_a_stage_that_ends_well_and_one_that_fails(folder: Path) -> None:
    metrics = folder / "metrics"
    common = [str(folder / "tiny.yaml"), "--workdir", str(folder / "w"), "--log-format", "json"]
    with receiver() as lineage, receiver() as gateway:
        told = {
            "OPENLINEAGE_URL": lineage.address,
            "OPENLINEAGE_NAMESPACE": "lake-team",
            "HEADRACE_METRICS_FOLDER": str(metrics),
            "HEADRACE_METRICS_PUSH": gateway.address,
        }
        done = headrace("prepare", *common, "--json", **told)
        assert done.code == 0, done.err
        file = metrics / "headrace_tiny_prepare.prom"
        well = samples(file.read_text())
        (folder / "lake/visits").rename(folder / "lake/moved")
        try:
            failed = headrace("prepare", *common, **told)
        finally:
            (folder / "lake/moved").rename(folder / "lake/visits")
        assert failed.code == 1

    # The log: every line is an object, and says what the lines for people do.
    entries = [json.loads(line) for line in done.err.splitlines()]
    assert all({"time", "level", "message"} <= set(entry) for entry in entries)
    assert entries[0]["stage"] == "prepare"
    assert entries[-1]["message"] == "result"
    assert entries[-1]["result"] == done.result
    last = json.loads(failed.out.splitlines()[-2])
    assert (last["level"], last["exit_code"]) == ("error", 1)
    assert "visits" in last["message"]

    # Metrics: a run that failed does not forget when the stage last ended well.
    ledger = done.result["ledger"]
    assert well["headrace_stage_succeeded"] == {(): 1.0}
    assert well["headrace_rows"]["read",] == ledger["read"]
    assert well["headrace_rows"]["published: train",] == ledger["published"]["train"]
    later = samples(file.read_text())
    assert later["headrace_stage_succeeded"] == {(): 0.0}
    assert later["headrace_stage_running"] == {(): 0.0}
    success = "headrace_stage_last_success_time_seconds"
    assert later[success] == well[success]
    method, path, body = gateway.sent[-1]
    assert (method, path) == ("PUT", "/metrics/job/headrace/recipe/tiny/stage/prepare")
    assert samples(body)["headrace_stage_succeeded"] == {(): 0.0}

    # Lineage.
    assert {path for _, path, _ in lineage.sent} == {"/api/v1/lineage"}
    events = [json.loads(body) for _, _, body in lineage.sent]
    assert [e["eventType"] for e in events] == ["START", "COMPLETE", "START", "FAIL"]
    assert {e["job"]["name"] for e in events} == {"tiny.prepare"}
    assert {e["job"]["namespace"] for e in events} == {"lake-team"}
    assert events[0]["run"]["runId"] == events[1]["run"]["runId"] != events[2]["run"]["runId"]
    named = {(d["namespace"], d["name"]) for d in events[1]["inputs"]}
    assert named == {("file", f"{folder}/lake/{n}") for n in ("visits", "shops")}
    (output,) = events[1]["outputs"]
    assert output["name"] == f"{folder}/dataset"
    assert output["facets"]["version"]["datasetVersion"] == "0"
    published = sum(ledger["published"].values())
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == published
    assert "visits" in events[3]["run"]["facets"]["errorMessage"]["message"]


@pytest.mark.long
def test_an_endpoint_that_is_not_there_fails_nothing(folder: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    done = headrace(
        "prepare", str(folder / "tiny.yaml"), "--workdir", str(folder / "w"), "--full",
        OPENLINEAGE_URL=nowhere, HEADRACE_METRICS_PUSH=nowhere,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.out.count("OpenLineage events could not be sent") == 1
    assert done.out.count("Prometheus metrics could not be published") == 1
