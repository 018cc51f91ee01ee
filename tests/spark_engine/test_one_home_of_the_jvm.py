"""What only a Spark in this process has is asked for in few modules: all others work through Spark
Connect."""

import ast
from pathlib import Path

import headrace
import jobs

PACKAGES = (Path(headrace.__file__).parent, Path(jobs.__file__).parent)
CLASSIC = {
    "headrace/spark_engine/classic.py",
    "headrace/spark_engine/classic_catalog.py",
    "headrace/spark_engine/classic_files.py",
    "headrace/spark_gateway.py",  # starts the JVM
    "headrace/distributed/launchers/spark.py",  # ranks on executors: refused with a server
}
OF_THE_JVM = {
    "_jdf", "_jvm", "_jsc", "_jc", "_jsparkSession", "_jschema", "_sc", "_gateway", "rdd",
    "sparkContext", "SparkContext", "SQLContext",
}  # fmt: skip
# Asked whether there is one, and nothing of it.
ALLOWED = {("headrace/spark_engine/remote.py", "SparkContext")}


def list_names(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add(node.name)
    return names


def test_only_classic_modules_ask_the_jvm() -> None:
    found = {}
    for package in PACKAGES:
        for path in sorted(package.rglob("*.py")):
            module = str(path.relative_to(package.parent))
            if module not in CLASSIC:
                names = list_names(ast.parse(path.read_text())) & OF_THE_JVM
                if names := {name for name in names if (module, name) not in ALLOWED}:
                    found[module] = names
    own = {"headrace/commands/observers/prometheus.py"}  # its gateway is Prometheus's
    assert {module: names for module, names in found.items() if module not in own} == {}


def test_the_classic_modules_do() -> None:
    root = PACKAGES[0].parent
    for module in CLASSIC:
        assert list_names(ast.parse((root / module).read_text())) & OF_THE_JVM, module
