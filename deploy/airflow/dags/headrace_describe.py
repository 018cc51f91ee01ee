"""Print what Airflow has to know about the recipes in a folder, as one line of JSON.

    python headrace_describe.py FOLDER WORKDIR

The project's own Python runs it, not Airflow's: a recipe is read, resolved and checked here by the
code that reads it in every stage, so that neither its keys nor its variables are defined twice, and
a mistake is reported in the same words everywhere.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import yaml

from headrace.errors import RecipeError
from headrace.recipe import load_recipe
from headrace.recipe.parse import parse_yaml
from headrace.redaction import redact_recipe, redact_text


def describe_recipe(path: Path, workdir: str) -> dict[str, Any] | None:
    """Return the facts that a DAG is built from.

    Args:
        path: of the recipe.
        workdir: the recipe's `${workdir}`.

    Returns:
        `error`, or `main` (name of the main table), `schedule` (the section with all defaults),
        `on_spark` (whether ranks run on Spark) and `conf` (Spark's settings without secrets, which
        each stage reads from the recipe again). None where the file has no `schedule` section, and
        so no DAG.
    """
    try:
        tree = parse_yaml(path.read_text(encoding="utf-8"))
        if not isinstance(tree, dict) or tree.get("schedule") is None:
            return None
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        pass  # load_recipe reports what is wrong
    try:
        recipe = load_recipe(str(path), workdir=workdir, environment=os.environ)
    except RecipeError as error:
        return {"error": redact_text(str(error))}
    resolved = recipe.dump_resolved()
    public = redact_recipe(resolved)["spark"]["conf"]
    return {
        "main": recipe.source.main,
        "schedule": resolved["schedule"],
        "on_spark": recipe.train.launcher.kind == "spark",
        "conf": {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in resolved["spark"]["conf"].items()
            if public[key] == value
        },
    }


if __name__ == "__main__":
    folder, workdir = sys.argv[1:]
    if not Path(folder).is_dir():
        sys.exit(f"there is no folder {folder}")
    recipes = sorted(Path(folder).glob("*.yaml"))
    descriptions = {str(path): describe_recipe(path, workdir) for path in recipes}
    print(json.dumps({path: facts for path, facts in descriptions.items() if facts}))
