"""Nothing of ours un-pickles, evaluates or runs what it reads: in the code, and in the ranks."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.distributed.run_ranks import run_ranks
from headrace.distributed.task import RankTask
from headrace.progress import ignore_progress
from tests.e2e.running import headrace, prepared_tiny
from tests.tiny import tiny_tree

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path
    for folder in ("pipelines", "jobs", "deploy", "scripts", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
)
MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "shelve", "marshal", "joblib"}
CALLS = {
    "eval", "exec", "compile", "__import__", "broadcast_object_fn", "allgather_object",
    "read_pickle", "to_pickle", "unsafe_load", "full_load", "unsafe_load_all", "full_load_all",
    "enable_unsafe_deserialization", "load_all",
}  # fmt: skip


# Tasks and their results, between a build's own processes, through a pipe that no other process has
# and that nothing of a lake or a file goes into but values.
ALLOWED = {"pipelines/headrace/source/local/workers.py": ["line 12: import pickle"]}


def find_forbidden(tree: ast.AST) -> Iterator[str]:
    """Find what could run code that it reads; the names are of Python's and of libraries."""
    safe_loaders = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any("SafeLoader" in ast.unparse(b) for b in node.bases)
    } | {"yaml.SafeLoader", "yaml.CSafeLoader"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if {name.split(".")[0] for name in names} & MODULES:
                yield f"line {node.lineno}: {ast.unparse(node)}"
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        last = called.rpartition(".")[2]
        options = {word.arg: ast.unparse(word.value) for word in node.keywords}
        text = f"line {node.lineno}: {ast.unparse(node)[:80]}"
        is_bare = isinstance(node.func, ast.Name)
        if (is_bare or last not in ("eval", "compile", "exec")) and last in CALLS:
            yield text
        if called.endswith("hvd.broadcast_object"):
            yield text
        if options.get("allow_pickle", "False") != "False":
            yield text
        if called == "np.load" and options.get("allow_pickle") != "False":
            yield text
        if called in ("yaml.load", "yaml.compose"):
            loader = options.get("Loader", ast.unparse(node.args[1]) if len(node.args) > 1 else "")
            if loader not in safe_loaders:
                yield text
        is_keras = "keras" in called or called in ("load_model", "deserialize_keras_object")
        loads = is_keras and last in ("load_model", "deserialize_keras_object")
        if loads and options.get("safe_mode") != "True":
            yield text
        if called.startswith(("subprocess.", "os.")) and options.get("shell", "False") != "False":
            yield text
        if called in ("os.system", "os.popen"):
            yield text


def test_the_code_has_nothing_that_runs_what_it_reads() -> None:
    found = {
        str(file.relative_to(ROOT)): list(find_forbidden(ast.parse(file.read_text("utf-8"))))
        for file in FILES
    }
    assert len(found) > 200
    assert {name: lines for name, lines in found.items() if lines} == ALLOWED


@pytest.mark.parametrize(
    "code",
    [
        "import pickle", "from cloudpickle import loads", "import pickle as p", "eval(x)",
        "exec(x)", "compile(x, '', 'exec')", "np.load(f)", "np.load(f, allow_pickle=True)",
        "np.savez(f, allow_pickle=True)", "yaml.load(x)", "yaml.load(x, yaml.Loader)",
        "yaml.load(x, Loader=yaml.UnsafeLoader)", "yaml.full_load(x)", "pd.read_pickle(x)",
        "keras.saving.load_model(f)", "keras.saving.load_model(f, safe_mode=False)",
        "keras.config.enable_unsafe_deserialization()", "hvd.broadcast_object(1, 0)",
        "self._hvd.broadcast_object(1, 0)", "self._hvd.allgather_object(1)", "os.system(x)",
        "subprocess.run(x, shell=True)",
    ],
)  # fmt: skip
def test_each_of_them_is_found(code: str) -> None:
    assert list(find_forbidden(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "re.compile(x)", "model.eval()", "np.load(f, allow_pickle=False)",
        "yaml.load(x, Loader=yaml.SafeLoader)", "ranks.broadcast_object(1)", "yaml.safe_load(x)",
        "class L(yaml.SafeLoader): pass\nyaml.compose(x, Loader=L)",
        "keras.saving.load_model(f, compile=False, safe_mode=True)", "json.loads(x)",
    ],
)  # fmt: skip
def test_what_is_allowed_is_not(code: str) -> None:
    assert list(find_forbidden(ast.parse(code))) == []


def test_ranks_exchange_values_without_pickle() -> None:
    task = RankTask("tests.distributed.rank_functions:exchange_without_pickle", {"word": "é"})
    result = run_ranks(task, 2, ignore_progress)
    assert result["broadcast"] == {"from": 0, "word": "é"}
    assert result["array"] == [[0.0, 0.5, 1.0]]
    assert result["bytes"] == "00ff"


_REFUSE = """
import sys
if any("headrace.distributed.rank.main" in word for word in sys.orig_argv):
    import pickle, _pickle
    def refuse(*arguments, **options):
        raise AssertionError("a rank un-pickles")
    pickle.loads = pickle.load = refuse
    _pickle.loads = _pickle.load = refuse
    class Unpickler:  # libraries derive classes of their own
        def load(self):
            refuse()
    pickle.Unpickler = _pickle.Unpickler = Unpickler
    import pathlib
    pathlib.Path(MARK).touch()
"""


@pytest.mark.long
def test_a_whole_training_and_evaluation_without_pickle(tmp_path: Path) -> None:
    tree = tiny_tree()
    tree["train"] |= {"epochs": 2, "ranks": 2, "early_stopping": {"patience": 5}}
    folder = prepared_tiny(tmp_path / "road", tree)
    site, mark = tmp_path / "site", tmp_path / "mark"
    site.mkdir()
    (site / "sitecustomize.py").write_text(_REFUSE.replace("MARK", repr(str(mark))))
    recipe, workdir = str(folder / "tiny.yaml"), str(tmp_path / "work")
    for command in ("train", "train", "evaluate"):  # the second continues, or begins anew
        done = headrace(command, recipe, "--workdir", workdir, "--json", PYTHONPATH=str(site))
        assert done.code in (0, 3), done.err
        assert mark.exists()
        mark.unlink()
