"""The environment of others: variables, files and folders that were meant for another project."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.running import BIN, Done, prepared_tiny
from tests.tiny import tiny_tree

pytestmark = [pytest.mark.e2e, pytest.mark.long]

NETWORK = """
import keras


{decorator}
class Doubled(keras.layers.Layer):
    def call(self, inputs):
        return inputs * 2


def build(inputs, spec):
    return Doubled()(inputs["numeric"])
"""
REGISTERED = '@keras.saving.register_keras_serializable(package="visits")'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environment")
    tree = tiny_tree()
    prepared_tiny(folder, tree)
    for name, decorator in (("registered", REGISTERED), ("unregistered", "")):
        own: dict[str, Any] = yaml.safe_load((folder / "tiny.yaml").read_text())
        own["model"] = {"kind": "python", "function": f"of_{name}:build", "hidden": [4]}
        (folder / name).mkdir()
        (folder / name / "recipe.yaml").write_text(yaml.safe_dump(own))
        (folder / name / f"of_{name}.py").write_text(NETWORK.format(decorator=decorator))
    return folder


def headrace_of_others(cwd: Path, *words: str) -> Done:
    """Run a command in a working directory and with a home and variables of another project."""
    (cwd / ".keras").mkdir(exist_ok=True)
    config = {"floatx": "float64", "epsilon": 1e-3, "image_data_format": "channels_first"}
    (cwd / ".keras" / "keras.json").write_text(json.dumps({**config, "backend": "jax"}))
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    done = subprocess.run(
        [str(BIN / "headrace"), *words], cwd=cwd, capture_output=True, text=True, check=False,
        env={
            **inherited, "HOME": str(cwd), "KERAS_HOME": str(cwd / ".keras"),
            "KERAS_BACKEND": "torch", "TF_USE_LEGACY_KERAS": "1",
        },
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def test_a_layer_of_ones_own_is_trained_evaluated_and_judged(folder: Path, tmp_path: Path) -> None:
    """Its module lies beside the recipe, and not in the working directory."""
    words = [str(folder / "registered" / "recipe.yaml"), "--workdir", str(tmp_path / "w"), "--json"]
    trained = headrace_of_others(tmp_path, "train", *words)
    assert trained.code == 0, trained.err
    assert "do not use KERAS_BACKEND=torch, TF_USE_LEGACY_KERAS=1" in trained.err
    assert "keras.json has floatx float64, which is not used" in trained.err
    evaluated = headrace_of_others(tmp_path, "evaluate", *words)
    assert evaluated.code == 0, evaluated.err
    promoted = headrace_of_others(tmp_path, "promote", *words)
    assert promoted.code == 0, promoted.err


def test_a_layer_that_nobody_could_load_is_refused_before_the_first_epoch(
    folder: Path, tmp_path: Path
) -> None:
    words = [str(folder / "unregistered" / "recipe.yaml"), "--workdir", str(tmp_path / "w")]
    done = headrace_of_others(tmp_path, "train", *words)
    assert done.code == 1
    assert "Could not locate class 'Doubled'" in done.err
    assert "@keras.saving.register_keras_serializable()" in done.err
    assert "epoch 1 of" not in done.err
    assert "Traceback" not in done.err


def test_the_weights_do_not_depend_on_what_others_set(folder: Path, tmp_path: Path) -> None:
    words = [str(folder / "tiny.yaml"), "--workdir", str(tmp_path / "w"), "--json"]
    plain = subprocess.run(
        [str(BIN / "headrace"), "train", words[0], "--workdir", str(tmp_path / "p"), "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    other = headrace_of_others(tmp_path, "train", *words)
    assert other.code == 0, other.err
    expected = json.loads(plain.stdout.splitlines()[-1])["weights_checksum"]
    assert other.result["weights_checksum"] == expected
