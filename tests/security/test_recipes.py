"""Recipes that harm who reads them: bombs, pipes, and what editors and disks do to text."""

import os
import random
import time
from pathlib import Path

import pytest

from headrace.errors import RecipeError
from headrace.recipe import load_recipe
from tests.security.mutations import mutate_bytes

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "conf").glob("*.yaml"))


def load(path: Path, *overrides: str) -> str:
    """Return the problems of a recipe as text, which are found within 10 seconds."""
    began = time.thread_time()
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(path), overrides=overrides, environment={})
    assert time.thread_time() - began < 10
    return str(caught.value)


def write(folder: Path, text: str) -> Path:
    path = folder / "r.yaml"
    path.write_text(text)
    return path


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
MERGES = "a0: &a0 {x: 1, y: 2}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 12)
)

REFERENCES = "".join(f"a{n}: " + f"${{a{n - 1}}}" * 10 + "\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("seed: " + "1" * 5001, "a number of more than 400 digits"),
        ("seed: -" + "1_0" * 3000, "a number of more than 400 digits"),
        ("seed: 1." + "0" * 5001, "a number of more than 400 digits"),
        ("a: " + "[" * 2000 + "]" * 2000, "nested more than 40 levels deep"),
        ("a: " + "{a: " * 2000 + "1" + "}" * 2000, "nested more than 40 levels deep"),
        ("\n".join(" " * n + "a:" for n in range(1000)), "nested more than 40 levels deep"),
        (BOMB, "more than 20,000 values"),
        (MERGES, "more than 20,000 values"),
        ("a: &a [*a]", "of what it is in"),
        ("a: &a {b: {c: *a}}", "of what it is in"),
        ("a: *nobody", "of nothing"),
        ("a: [" + "x, " * 50_000 + "x]", "more than 20,000 values"),
        ("a: " + "x" * 2**21, "more than 1,048,576 characters"),
        ("a" * 2**23, "is larger than 4,194,304 bytes"),
        ("!!python/object/apply:os.system [id]", "could not determine a constructor"),
        ("a: !!python/name:os.system", "could not determine a constructor"),
    ],
)
def test_bombs_are_refused_at_once(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in load(write(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        "a0: xxxxxxxxxx\n"
        + "".join(f"a{n}: " + f"${{a{n - 1}}}" * 10 + "\n" for n in range(1, 12)),
        "a0: ''\n" + "".join(f"a{n}: " + f"${{a{n - 1}}}" * 10 + "\n" for n in range(1, 12)),
        "".join(f"a{n}: '${{a{n + 1}}}'\n" for n in range(3000)) + "a3000: x\n",
    ],
)
def test_references_that_stand_for_too_much(tmp_path: Path, text: str) -> None:
    assert "its references stand for too" in load(write(tmp_path, text))


def test_a_value_of_the_command_line_is_bounded_too(tmp_path: Path) -> None:
    path = write(tmp_path, "name: x")
    assert "the value is not YAML" in load(path, "train.seed=" + "1" * 5001)
    assert "the value is not YAML" in load(path, "train.seed=" + "[" * 2000)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    assert "it is not a file" in load(tmp_path / "pipe.yaml")
    assert "it is not a file" in load(tmp_path)
    assert "it is not a file" in load(Path("/dev/zero"))


def test_honest_recipes_are_far_from_the_bounds() -> None:
    for path in RECIPES:
        load_recipe(str(path), environment={})
    assert len(RECIPES) >= 3


@pytest.mark.parametrize("count", [200, pytest.param(3000, marks=pytest.mark.long)])
def test_mutated_recipes(tmp_path: Path, count: int) -> None:
    """A recipe, or its problems; nothing else, and not for long."""
    path = tmp_path / "r.yaml"
    texts = [path.read_bytes() for path in RECIPES]
    refused = 0
    for seed in range(count):
        rng = random.Random(seed)
        path.write_bytes(mutate_bytes(rng.choice(texts), rng))
        began = time.thread_time()
        try:
            load_recipe(str(path), environment={})
        except RecipeError as error:
            refused += 1
            assert str(error), seed
        assert time.thread_time() - began < 10, seed
    assert refused > count // 4
