"""Plain pip in a clean environment: what each extra brings is enough for what it is for.

One environment that grows, as a user's does: base, then train, then Horovod. Downloads TensorFlow
and compiles Horovod: half an hour. What base lacks is refused in test_base.py, without pip.
"""

from pathlib import Path

import pytest
import yaml

from tests.e2e.running import Done
from tests.install.clean_environment import CleanEnvironment, build_wheel
from tests.tiny import tiny_tree, write_tiny_lake

pytestmark = [pytest.mark.e2e, pytest.mark.long]


class Road:
    """The tiny lake and its recipe, and commands on it in the environment."""

    def __init__(self, environment: CleanEnvironment, workdir: Path, wheel: str) -> None:
        self.environment, self.workdir, self.wheel = environment, workdir, wheel
        self.sizes: dict[str, int] = {}
        write_tiny_lake(workdir / "lake")
        (workdir / "tiny.yaml").write_text(yaml.safe_dump(tiny_tree()))

    def run(self, command: str, *options: str, compiler: bool = False) -> Done:
        return self.environment.run(
            "headrace", command, str(self.workdir / "tiny.yaml"),
            "--workdir", str(self.workdir), *options, compiler=compiler,
        )  # fmt: skip

    def succeed(self, command: str, *options: str) -> Done:
        done = self.run(command, "--json", *options)
        assert done.code == 0, done.err
        return done


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Road:
    folder = tmp_path_factory.mktemp("pip")
    road = Road(CleanEnvironment(folder / "clean"), folder / "w", build_wheel(folder / "dist"))
    road.environment.install(road.wheel)
    road.sizes["base"] = road.environment.measure_mib()
    return road


@pytest.fixture(scope="module")
def train(base: Road) -> Road:
    base.environment.install(f"{base.wheel}[train]")
    base.sizes["train"] = base.environment.measure_mib()
    return base


@pytest.fixture(scope="module")
def horovod(train: Road) -> Road:
    train.environment.install(f"{train.wheel}[horovod]")
    done = train.environment.run("headrace", "install-horovod", "--json", compiler=True)
    assert done.code == 0, done.err
    return train


def test_base_has_nothing_that_trains_and_prepares(base: Road) -> None:
    packages = base.environment.list_packages()
    assert {"pyspark", "pyarrow", "deltalake", "headrace"} <= packages
    assert not packages & {"tensorflow", "keras", "horovod", "petastorm", "mlflow", "matplotlib"}
    lake = str(base.workdir / "lake/visits")
    init = base.environment.run(
        "headrace", "init", lake, "--label", "late", "--out", str(base.workdir / "first.yaml")
    )
    assert init.code == 0, init.err
    prepared = base.succeed("prepare").result
    assert prepared["ledger"]["published"] == {"train": 344, "validation": 118, "test": 127}
    inspected = base.environment.run("headrace", "inspect", str(base.workdir / "dataset"))
    assert inspected.code == 0, inspected.err
    refused = base.run("train")
    assert refused.code == 2
    assert refused.err.strip().endswith("run: pip install 'headrace[train]'")


def test_train_goes_the_whole_road_on_one_rank(train: Road) -> None:
    packages = train.environment.list_packages()
    assert {"tensorflow", "mlflow"} <= packages
    assert "horovod" not in packages
    trained = train.succeed("train", "--ranks", "1").result
    assert trained["metrics"]["epochs"] == 2
    assert train.succeed("evaluate", "--ranks", "1").result["metrics"]["test_rows"] == 127
    assert train.succeed("promote").result["champion"] == 1
    scored = train.succeed(
        "score", "--input", str(train.workdir / "lake/visits"),
        "--output", str(train.workdir / "scores"),
    ).result  # fmt: skip
    assert scored["ledger"]["read"] == 600
    assert 2 * train.sizes["base"] < train.sizes["train"], train.sizes


def test_several_ranks_and_a_build_without_a_compiler_are_refused_in_one_line(train: Road) -> None:
    several = train.run("train", "--ranks", "2")
    assert several.code == 2
    (line,) = several.err.splitlines()
    commands = "pip install 'headrace[horovod]' && headrace install-horovod"
    assert f"Horovod is not installed; run: {commands}; or set train.collectives" in line
    built = train.environment.run("headrace", "install-horovod")
    assert built.code == 1
    assert "g++ and make cannot be found; install them" in built.err


def test_horovod_is_compiled_with_tensorflow_and_trains_on_two_ranks(horovod: Road) -> None:
    trained = horovod.succeed("train", "--ranks", "2", "--resume", "never").result
    assert trained["metrics"]["epochs"] == 2
    doctor = horovod.environment.run("headrace", "doctor", "--workdir", str(horovod.workdir))
    assert doctor.code == 0, doctor.out
    assert "ok    horovod: 0.28.1, built with gloo" in doctor.out
