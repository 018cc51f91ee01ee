"""The Dockerfile and compose file, as far as they can be checked without a container engine."""

import re
import shutil
import subprocess
import tomllib
import zipfile
from itertools import pairwise
from pathlib import Path

import pyspark
import pytest
import yaml

from tests.deploy.dockerfile import (
    DOCKERFILE,
    FOLDER,
    list_instructions,
    list_sent_paths,
    read_environment,
)
from tests.deploy.fields import find_violations, load_fields
from tests.deploy.manifests import ROOT, find_document, find_tool, render_overlay

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKED = {
    package["name"]: package.get("version", "")
    for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]
}
RUNNING = ("headrace", "mlflow")  # the stages that become images


def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run(
        [find_tool("hadolint"), "--no-color", str(DOCKERFILE)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_images_are_built_from_exact_ones() -> None:
    stages = {instruction.stage for instruction in list_instructions("FROM")}
    for instruction in list_instructions("FROM"):
        source = instruction.text.partition(" AS ")[0]
        if source not in stages and source not in ("scratch", "tools-${DEVICE}"):
            name, _, digest = source.partition("@")
            assert re.search(r":[\w.-]*\d", name), source
            assert re.fullmatch("sha256:[0-9a-f]{64}", digest), source
    assert {"tools-cpu", "tools-gpu"} <= stages
    (device,) = list_instructions("ARG")
    assert (device.stage, device.text) == ("", "DEVICE=cpu")  # FROM knows those before it alone


def test_all_that_is_copied_is_there_and_sent() -> None:
    copied = [
        source
        for instruction in list_instructions("COPY")
        if "--from" not in instruction.text
        for source in [w for w in instruction.text.split() if not w.startswith("--")][:-1]
    ]
    sent = set(list_sent_paths())
    assert sent <= set(copied)
    # A part of a folder that is copied as a whole later, so that Horovod's layer stays.
    assert all(path in sent or any(path.startswith(f"{s}/") for s in sent) for path in copied)
    for source in copied:
        assert (ROOT / source).exists()


def test_what_stages_take_from_others_is_made_there() -> None:
    stages = {instruction.stage for instruction in list_instructions("FROM")}
    taken = set()
    for instruction in list_instructions("COPY"):
        if "--from=" in instruction.text:
            source, path, _ = instruction.text.removeprefix("--from=").split()
            assert source in stages
            taken.add((source, path))
    assert taken == {
        ("uv", "/uv"),
        ("builder", read_environment("builder")["UV_PYTHON_INSTALL_DIR"]),
        ("environment", read_environment("environment")["UV_PROJECT_ENVIRONMENT"]),
        ("mlflow-environment", read_environment("mlflow-environment")["UV_PROJECT_ENVIRONMENT"]),
        ("s3a", "/jars/"),
    }
    for stage, command in (
        ("builder", "uv python install"),
        ("environment", "uv sync"),
        ("mlflow-environment", "uv sync"),
    ):
        assert any(command in instruction.text for instruction in list_instructions("RUN", stage))


def test_uv_knows_its_options_and_variables() -> None:
    uv = find_tool("uv")
    shown = subprocess.run([uv, "sync", "--help"], capture_output=True, text=True, check=True)
    options = set(re.findall(r"--[a-z-]+", shown.stdout))
    syncs = [
        instruction.text
        for instruction in list_instructions("RUN")
        if "uv sync" in instruction.text
    ]
    assert len(syncs) == 3
    for text in syncs:
        words = text.partition("uv sync")[2].replace("${EXTRA:+", "").replace("}", "").split()
        assert "--locked" in words
        assert {word for word in words if word.startswith("--")} <= options
        for option, name in pairwise(words):
            if option in ("--group", "--only-group"):
                assert name in PROJECT["dependency-groups"]
    assert read_environment("tools-gpu")["EXTRA"] in PROJECT["project"]["optional-dependencies"]
    program = Path(uv).read_bytes()
    for stage in ("tools-cpu", "tools-gpu", "builder", "environment"):
        for name in read_environment(stage):
            assert not name.startswith("UV_") or name.encode() in program, name


def test_what_is_built_for_gpus_is_cached_apart() -> None:
    """uv would take the wheel of Horovod that was built without NCCL."""
    caches = {read_environment(stage)["UV_CACHE_DIR"] for stage in ("tools-cpu", "tools-gpu")}
    assert len(caches) == 2
    for instruction in list_instructions("RUN"):
        mounted = re.search(r"type=cache,target=(\S+)", instruction.text)
        if "uv sync" in instruction.text:
            assert mounted
            assert all(cache.startswith(f"{mounted[1]}/") for cache in caches)
    assert read_environment("tools-gpu")["HOROVOD_GPU_OPERATIONS"] == "NCCL"


def test_versions_agree() -> None:
    text = DOCKERFILE.read_text()
    uv = re.search(r"astral-sh/uv:([\d.]+)", text)
    least = re.fullmatch(r">=([\d.]+)", PROJECT["tool"]["uv"]["required-version"])
    assert uv
    assert least
    assert parse_version(uv[1]) >= parse_version(least[1])
    python = read_environment("builder")["UV_PYTHON"]
    assert parse_version("3.11") <= parse_version(python) < parse_version("3.14")
    assert f"lib/python{python.rpartition('.')[0]}/" in read_environment("headrace")["SPARK_HOME"]
    cuda = re.search(r"nvidia/cuda:(\d+\.\d+)", text)
    assert cuda
    assert LOCKED["nvidia-cuda-runtime-cu12"].startswith(f"{cuda[1]}.")
    jars = {path.name for path in (Path(pyspark.__file__).parent / "jars").iterdir()}
    hadoop = re.search(r"hadoop-aws-([\d.]+)\.jar", text)
    assert hadoop
    assert f"hadoop-client-api-{hadoop[1]}.jar" in jars
    prepare = find_document(render_overlay("local/prepare"), "SparkApplication", "headrace-prepare")
    assert prepare["spec"]["sparkVersion"] == LOCKED["pyspark"]
    java = re.search(r"openjdk-(\d+)-jre-headless", text)
    assert java
    assert f"openjdk-{java[1]}-jre-headless" in (ROOT / "scripts/setup.sh").read_text()


def parse_version(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def test_what_runs_has_no_compiler_and_no_rights() -> None:
    parents = {f.stage: f.text.partition(" AS ")[0] for f in list_instructions("FROM")}
    for stage in RUNNING:
        users = [instruction.text for instruction in list_instructions("USER", stage)]
        assert users == ["10001:10001"]
        while stage in parents:
            assert not stage.startswith("tools-")
            for instruction in list_instructions("RUN", stage):
                assert not re.search(r"build-essential|g\+\+|gcc|clang|nvcc", instruction.text)
            stage = parents[stage]  # noqa: PLW2901
        assert stage.startswith("debian:")
    commands = " ".join(instruction.text for instruction in list_instructions("RUN", "base"))
    assert "--uid 10001" in commands


def copy_into(folder: Path, name: str) -> None:
    """Copy a file or folder of the project, as COPY does: what is there already is written over."""
    if (ROOT / name).is_dir():
        shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True)
    else:
        shutil.copy(ROOT / name, folder / name)


def test_what_is_sent_is_enough_to_build(tmp_path: Path) -> None:
    uv = find_tool("uv")
    for instruction in list_instructions("COPY", "builder"):
        for name in instruction.text.split()[:-1]:
            if not name.startswith(("--", "/")):
                copy_into(tmp_path, name)
    command = [uv, "sync", "--locked", "--no-default-groups", "--group", "all", "--extra",
               "gpu", "--no-install-project", "--dry-run", "--python", "3.11"]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"horovod=={LOCKED['horovod']}" in done.stderr
    assert "pytest" not in done.stderr
    for instruction in list_instructions("COPY", "environment"):
        for name in instruction.text.split()[:-1]:
            copy_into(tmp_path, name)
    build = [uv, "build", "--wheel", "--quiet", "--out-dir", "out"]
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "out").glob("*.whl")
    assert wheel.name == f"headrace-{PROJECT['project']['version']}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "headrace/py.typed" in names
    tops = {name.split("/")[0] for name in names}
    assert {name for name in tops if not name.endswith(".dist-info")} == {"headrace"}


COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())


def test_compose_knows_every_field() -> None:
    assert find_violations(COMPOSE, load_fields("compose")) == []
    wrong = {"services": {"a": {"image": "a:1", "helthcheck": {}}}, "volume": {}}
    assert find_violations(wrong, load_fields("compose")) == [
        "services.a.helthcheck: there is no such field",
        "volume: there is no such field",
    ]


def test_compose_is_whole() -> None:
    services = COMPOSE["services"]
    for name, service in services.items():
        if "build" in service:
            context = (FOLDER / service["build"]["context"]).resolve()
            assert context / service["build"]["dockerfile"] == DOCKERFILE
            target = service["build"].get("target", list_instructions("FROM")[-1].stage)
            assert target in RUNNING
            assert service["image"].endswith(f":{PROJECT['project']['version']}")
        else:
            assert re.search(r":[\d.]+[\w-]*@sha256:[0-9a-f]{64}$", service["image"])
        if "profiles" not in service:
            assert service["healthcheck"]["test"][0] == "CMD", name
        for other, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in services[other]
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in COMPOSE["volumes"]
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")
        assert set(service["networks"]) <= set(COMPOSE["networks"])
    # Stages reach neither the database nor its password.
    assert services["postgres"]["networks"] == ["tracking"]
    assert services["headrace"]["networks"] == ["stages"]


@pytest.mark.parametrize("name", ["PASSWORD", "SECRET_ACCESS_KEY"])
def test_compose_takes_secrets_from_a_file_that_git_ignores(name: str) -> None:
    text = (FOLDER / "compose.yaml").read_text()
    required = set(re.findall(r"\$\{(\w+):\?", text))
    example = dict(re.findall(r"^(\w+)=(.*)$", (FOLDER / ".env.example").read_text(), re.M))
    assert required == set(example) == set(re.findall(r"\$\{(\w+)", text))
    assert [value for key, value in example.items() if key.endswith(name)] == [""]
    done = subprocess.run(
        ["git", "check-ignore", "--quiet", str(FOLDER / ".env")], cwd=ROOT, check=False
    )
    assert done.returncode == 0


def test_compose_starts_mlflow_as_it_can_be_started() -> None:
    from mlflow.cli import server

    words = COMPOSE["services"]["mlflow"]["command"]
    assert words[0] == "server"
    context = server.make_context("server", words[1:])
    assert context.params["artifacts_destination"] == "s3://mlflow"
    assert "mlflow" in COMPOSE["services"]["s3"]["command"][2].partition("=")[2].split(",")
