"""Keep the references of a dataset version beside it, for the evaluation of the next model.

What is kept are predictions and numbers, no fitted model: nothing of it is ever executed. Neither
is a row's identity or label; the digest of both says whether the predictions belong to the rows at
hand. A file that cannot be used, for whatever reason, is computed again.
"""

import hashlib
import io
import json
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import DamagedError, HeadraceError, get_first_line
from headrace.evaluate.references.compute import References, compute_references
from headrace.labels.spec import LabelSpec
from headrace.lake.damage import read_parquet
from headrace.lake.sidecar import SIDECAR_ROOT
from headrace.lake.storage import explain_storage_errors, open_filesystem, replace_object
from headrace.lake.version import DatasetVersion
from headrace.recipe import sections as s
from headrace.redaction import redact_text
from headrace.transform.spec import TransformSpec

_REVISION = 1  # of how references are fitted, and of the file
_FACTS, _SUM = b"headrace.references", b"headrace.references.sha256"


def find_references(
    dataset: DatasetVersion, spec: TransformSpec, settings: s.Evaluate
) -> References:
    """Return the references of a dataset version: the kept ones, or new ones, which are kept.

    Two that compute at once write the same file, each as a whole.

    Args:
        dataset, spec: a dataset and its transform.
        settings: of the references, and whether rows have their weights.

    Raises:
        the errors of `compute_references`.
    """
    identity = identify_references(dataset, settings, spec.label)
    path = locate_references(dataset, identity)
    kept = _read(dataset, path, identity)
    if isinstance(kept, References):
        return replace(kept, facts={**kept.facts, "kept": True})
    references = compute_references(dataset, spec, settings)
    notes = [] if kept is None else [f"the kept references could not be used ({kept})"]
    try:
        replace_object(dataset.root, path, _format(references, identity))
    except (HeadraceError, OSError) as error:
        reason = redact_text(get_first_line(error) or type(error).__name__)
        notes.append(f"the references were not kept, so they are computed again ({reason})")
    return replace(references, facts={**references.facts, "kept": False}, notes=notes)


def identify_references(
    dataset: DatasetVersion, settings: s.Evaluate, label: LabelSpec
) -> dict[str, Any]:
    """Return all that references depend on, as plain values."""
    return {
        **({"loss": label.loss.model_dump(mode="json")} if label.loss else {}),
        "revision": _REVISION,
        "dataset": dataset.digest,
        "references": sorted(set(settings.references)),
        "rows": settings.reference_rows,
        "weighted": settings.weighted,
        "scikit-learn": version("scikit-learn"),
    }


def locate_references(dataset: DatasetVersion, identity: dict[str, Any]) -> str:
    """Return the path of the file below the dataset's root."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return f"{SIDECAR_ROOT}/{dataset.build.build_id}/references/{digest[:20]}.parquet"


def _format(references: References, identity: dict[str, Any]) -> bytes:
    """Return the file: rows are the predictions of the splits, one after the other."""
    tree = references.tree or {}
    outputs = [array.reshape(len(array), -1) for array in tree.values()]
    width = outputs[0].shape[1] if outputs else 1
    values = np.concatenate(outputs).reshape(-1) if outputs else np.empty(0, np.float32)
    facts = {
        "identity": identity,
        "constant": references.constant.tolist(),
        "splits": {split: list(array.shape) for split, array in tree.items()},
        "left_out": references.left_out,
        "facts": references.facts,
        "row_digests": references.row_digests,
    }
    text = json.dumps(facts).encode()
    column = pa.FixedSizeListArray.from_arrays(pa.array(values, pa.float32()), width)
    table = pa.table({"prediction": column}).replace_schema_metadata(
        {_FACTS: text, _SUM: hashlib.sha256(text).hexdigest().encode()}
    )
    sink = io.BytesIO()
    pq.write_table(table, sink, write_page_checksum=True)
    return sink.getvalue()


def _read(
    dataset: DatasetVersion, path: str, identity: dict[str, Any]
) -> "References | str | None":
    """Return the kept references; None where there are none, or why they cannot be used."""
    where = f"{dataset.root}/{path}"
    try:
        filesystem, root = open_filesystem(dataset.root)
        with explain_storage_errors(dataset.root):
            try:
                content = bytes(filesystem.cat_file(f"{root}/{path}"))
            except FileNotFoundError:
                return None
        table = read_parquet(content, where)
        return _parse(table, identity)
    except HeadraceError as error:
        return redact_text(get_first_line(error))
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        return f"{where} is damaged: {type(error).__name__}"


def _parse(table: pa.Table, identity: dict[str, Any]) -> References:
    metadata = table.schema.metadata or {}
    text = metadata[_FACTS]
    if hashlib.sha256(text).hexdigest().encode() != metadata[_SUM]:
        raise DamagedError("its numbers are not those that were written")
    facts = json.loads(text)
    if facts["identity"] != identity:
        raise DamagedError("it is of another dataset or of other settings")
    column = table["prediction"].combine_chunks()
    values = column.flatten().to_numpy()
    tree, start = {}, 0
    for split, shape in facts["splits"].items():
        size = int(np.prod(shape))
        tree[split] = values[start : start + size].reshape(shape)
        start += size
    if start != len(values) or not np.isfinite(values).all():
        raise DamagedError("it has other predictions than it says")
    return References(
        constant=np.asarray(facts["constant"], np.float64),
        tree=tree or None,
        left_out=dict(facts["left_out"]),
        facts=dict(facts["facts"]),
        row_digests=dict(facts["row_digests"]),
    )
