"""Export and load the newest model of a road of `benchmarks.wide`, and print seconds as JSON.

.venv/bin/python -m benchmarks.wide_one var/wide/2000x100000
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """Measure it in this process, which has imported TensorFlow for it."""
    (root,) = map(Path, sys.argv[1:])
    began = time.monotonic()
    import tensorflow as tf

    seconds: dict[str, Any] = {"import": time.monotonic() - began}

    from headrace.models.load import load_keras_model
    from headrace.models.raw import export_network, export_raw_model
    from headrace.transform.spec import TransformSpec

    files = max(root.glob("work/mlflow/**/model.keras"), key=lambda f: f.stat().st_mtime).parent
    began = time.monotonic()
    spec = TransformSpec.from_json((files / "transform.json").read_text())
    seconds["spec"] = time.monotonic() - began
    began = time.monotonic()
    model = load_keras_model(files / "model.keras", "the model")
    seconds["load_keras"] = time.monotonic() - began
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        export_raw_model(model, spec, f"{folder}/raw")
        seconds["export_raw"] = time.monotonic() - began
        began = time.monotonic()
        export_network(model, spec, f"{folder}/network")
        seconds["export_network"] = time.monotonic() - began
        began = time.monotonic()
        loaded = tf.saved_model.load(f"{folder}/raw")
        seconds["load"] = time.monotonic() - began
        seconds["graph_bytes"] = Path(folder, "raw", "saved_model.pb").stat().st_size
        rows = {
            name: tf.constant(["v1_1"] * 8) if item.dtype == tf.string else tf.ones(8, item.dtype)
            for name, item in loaded.serve.input_signature[0].items()
        }
        began = time.monotonic()
        loaded.serve(rows)
        seconds["first_call"] = time.monotonic() - began
        began = time.monotonic()
        loaded.serve(rows)
        seconds["second_call"] = time.monotonic() - began
    seconds["export"] = seconds["export_raw"] + seconds["export_network"]
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
