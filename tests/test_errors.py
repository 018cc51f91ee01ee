"""A recipe's problems are shown all at once, and every error has its exit code."""

import pytest

from headrace import errors
from headrace.errors import HeadraceError, Problem, RecipeError, get_first_line


def test_problems_are_lines_with_key_message_and_fix() -> None:
    problems = [Problem("train.epochs", "got -1, expected an integer ≥ 1"),
                Problem("model.kind", "unknown kind 'mpl'", "did you mean mlp?")]  # fmt: skip
    error = RecipeError("a.yaml", problems)
    assert str(error) == (
        "2 problems in recipe a.yaml; nothing was started:\n"
        "  - train.epochs: got -1, expected an integer ≥ 1\n"
        "  - model.kind: unknown kind 'mpl' (did you mean mlp?)"
    )
    assert error.problems == tuple(problems)
    assert str(RecipeError("a.yaml", problems[:1])).startswith("1 problem in recipe a.yaml;")
    late = RecipeError("section model (kind mlp)", problems[1:], "no model was built")
    assert str(late).startswith(
        "1 problem in recipe section model (kind mlp); no model was built:\n"
    )


def test_the_first_line_of_an_error() -> None:
    assert get_first_line(ValueError("no such file\nsee the log")) == "no such file"
    assert get_first_line(ValueError("short")) == "short"
    assert get_first_line(ValueError()) == ""


@pytest.mark.parametrize(
    ("name", "code"),
    [("RecipeError", 2), ("GateError", 3), ("PreemptedError", 143), ("LakeError", 1)],
)
def test_exit_codes_tell_schedulers_what_happened(name: str, code: int) -> None:
    assert getattr(errors, name).exit_code == code


def test_every_error_is_a_headrace_error() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    raised = [kind for kind in kinds if issubclass(kind, Exception)]
    assert len(raised) > 15
    assert all(issubclass(kind, HeadraceError) for kind in raised)
