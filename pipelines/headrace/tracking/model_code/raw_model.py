"""Predict raw rows in a pandas frame with a SavedModel: an MLflow model from code.

MLflow stores this file inside the model and runs it there. It imports nothing of Headrace on
purpose: loading a model needs mlflow, TensorFlow, NumPy and pandas, and neither Headrace nor Spark.
"""

import base64
import contextlib
import datetime
import decimal
import functools
import itertools
import json
import os
import pathlib
import re
import sys
import tempfile
import zoneinfo

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import mlflow
import numpy as np
import pandas as pd
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

# One encoding of "missing" per dtype, as the graph expects it (transform/graph.py).
MISSING_INTEGER = -(2**63)
MISSING_STRING = b"\xff"
# Output of the graph that says which rules a row breaks.
VIOLATIONS = "violations"
# Most rows per call of the graph, and most elements of lists and images per call, which bound the
# memory of a prediction over many rows.
ROWS_PER_CALL = 65_536
ELEMENTS_PER_CALL = 262_144
# From here on not every whole number is a float64.
EXACT_FLOAT = 2**53
# Texts are read as Spark reads them where it casts a column of the lake.
BLANKS = "".join(map(chr, range(33)))
WHOLE = re.compile(r"[+-]?[0-9]+(\.0*)?")
NUMBER = re.compile(
    r"[+-]?([0-9]+\.?[0-9]*([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?)"
    r"|[+-]?(?i:inf(inity)?)|(?i:nan)|[+-]NaN"
)
BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), 1),
    **dict.fromkeys(("false", "f", "no", "n", "0"), 0),
}
TIME = re.compile(
    r"\+?([0-9]{4,6})(?:-([0-9]{1,2})(?:-([0-9]{1,2})"
    r"(?:[ T]([0-9]{1,2})(?::([0-9]{1,2})(?::([0-9]{1,2})(?:\.([0-9]*))?)?( ?[^\s:]\S*)?)?)?)?)?"
)
EPOCH = re.compile(r"[+-]?[0-9]{1,19}|[+-]?[0-9]+\.[0-9]*")
UNITS = {"seconds": 1_000_000, "milliseconds": 1_000, "microseconds": 1, "nanoseconds": 0}
DATE = re.compile(r"(\+?[0-9]{4,6}-[0-9]{1,2}-[0-9]{1,2})[ T].*", re.DOTALL)
OFFSET = re.compile(r"(?:UTC|GMT|UT)?([+-])([0-9]{1,2})(?::?([0-9]{1,2})(?::?([0-9]{2}))?)?")
# Spark knows these, and they are of more than one zone.
ZONES_OF_THREE = ("UTC", "GMT", "CET", "EET", "MET", "WET", "EST", "MST", "HST")
MICROS_PER_DAY = 86_400_000_000
REQUESTS = ("dataframe_split", "dataframe_records", "inputs", "instances")
ELEMENT = {"integers": "integer", "reals": "real", "strings": "string"}


class InvalidRowsError(mlflow.exceptions.MlflowException, ValueError):
    """Rows that cannot be predicted; MLflow's server answers it with status 400 and the reason."""

    def __init__(self, message):
        super().__init__(message, error_code=INVALID_PARAMETER_VALUE)


class RawModel(mlflow.pyfunc.PythonModel):
    """Predict every raw row; the columns of the result depend on the label's kind.

    binary: `probability` (float64) and `prediction` (0 or 1). classes: `prediction` (the class as a
    text) and `probability` (of that class). multi_label: `prediction` (a list of the labels from
    the threshold on) and `probability` (a dict of all labels and theirs). regression: `prediction`
    (float64, in the label's own unit).

    Where rows of training had to keep rules, there is one more column, `reason`: the text of what a
    row breaks, which has no prediction then; null for all others.
    """

    def load_context(self, context):
        tf = _import_tensorflow()
        self._model = tf.saved_model.load(context.artifacts["saved_model"])
        self._serve = self._model.signatures["serve"]
        # By the label's kind: `probability`, `probabilities` or `value`.
        (self._output,) = {*self._serve.structured_outputs} - {VIOLATIONS}
        with open(context.artifacts["transform"], encoding="utf-8") as file:  # noqa: PTH123
            transform = json.load(file)
        self._kinds = {column["name"]: _name_reader(column) for column in transform["raw"]}
        self._label = transform["label"]
        rules = transform.get("rules") or []
        self._rules = [rule for rule in rules if rule["action"] == "reject"]
        self._rule_kinds = {
            column["name"]: _name_reader(column) for column in transform.get("rule_columns", ())
        }
        self._rule_columns = [_list_columns(rule["violated"]) for rule in self._rules]
        elements = sum(map(_count_elements, transform["features"]))
        self._rows_per_call = max(1, min(ROWS_PER_CALL, ELEMENTS_PER_CALL // max(1, elements)))
        description = pathlib.Path(context.artifacts["saved_model"]).parent.parent / "MLmodel"
        if description.is_file():
            schema = mlflow.models.Model.load(str(description)).get_input_schema()
            if schema is not None:
                _take_rows_as_they_come(schema)

    def predict(self, context, model_input: pd.DataFrame, params=None):
        """Predict raw rows.

        Args:
            model_input: pandas frame with the raw columns; nulls may be None, NaN, NaT or pandas
                NA. Timestamps are datetimes or ISO 8601 texts, in UTC where they name no zone;
                lists are lists, NumPy arrays or JSON texts, images the bytes of a PNG or JPEG
                file, or these as Base64 text; numbers may be texts. Further columns are ignored.
            params: of a binary label `threshold`, the probability from which `prediction` is 1; of
                several labels, from which it names a label.

        Raises:
            InvalidRowsError: a column is missing, a value does not fit its column's type, a file
                is no image of the right size, or a prediction is not finite.
        """
        frame = model_input if isinstance(model_input, pd.DataFrame) else pd.DataFrame(model_input)
        absent = [name for name in self._kinds if name not in frame.columns]
        if absent:
            raise InvalidRowsError(
                f"raw columns are missing: {', '.join(absent)}; "
                f"got {', '.join(map(str, frame.columns))}"
            )
        if not frame.columns.is_unique:
            twice = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
            raise InvalidRowsError(f"columns are there twice: {', '.join(twice)}")
        outputs = [np.zeros((0, len(self._label["classes"])) if self._label["classes"] else 0)]
        violated = [np.zeros((0, len(self._rules)), dtype=bool)]
        for start in range(0, len(frame), self._rows_per_call):
            output, broken = self._predict_chunk(frame.iloc[start : start + self._rows_per_call])
            outputs.append(output)
            violated.append(broken)
        outputs, violated = np.concatenate(outputs), np.concatenate(violated)
        rejected = violated.any(axis=1)
        _refuse_what_is_no_number(outputs, frame, ~rejected)
        threshold = (params or {}).get("threshold", 0.5)
        if self._output == "value":
            columns = {"prediction": outputs}
        elif self._label["kind"] == "classes":
            best = outputs.argmax(axis=1)
            names = np.array(self._label["classes"], dtype=object)
            probabilities = outputs[np.arange(len(best)), best]
            columns = {"prediction": names[best], "probability": probabilities}
        elif self._label["kind"] == "multi_label":
            names = self._label["classes"]
            pairs = [dict(zip(names, row, strict=True)) for row in outputs.tolist()]
            columns = {
                "prediction": [[n for n, p in row.items() if p >= threshold] for row in pairs],
                "probability": pairs,
            }
        else:
            columns = {
                "probability": outputs,
                "prediction": (outputs >= threshold).astype(np.int64),
            }
        predicted = pd.DataFrame(columns, index=frame.index)
        if self._rules:
            predicted = predicted.astype(object) if rejected.any() else predicted
            predicted[rejected] = None
            reasons = [self._explain_violations(frame, *at) for at in enumerate(violated)]
            predicted["reason"] = pd.Series(reasons, index=frame.index, dtype=object)
        return predicted

    def _explain_violations(self, frame, position, violated):
        """Return what a row breaks, rule by rule; None where it breaks none."""
        texts = []
        for rule, names, is_broken in zip(self._rules, self._rule_columns, violated, strict=True):
            if is_broken:
                cells = [f"{name} is {_shorten(frame[name].iloc[position])}" for name in names]
                texts.append(f"{rule['name']}: {', '.join(cells)}")
        return "; ".join(texts) if texts else None

    def _predict_chunk(self, frame):
        """Return the outputs of rows, and which rules they break, bool (rows, rules)."""
        tf = _import_tensorflow()
        tensors = {}
        # Tensors are named by the position of their column: raw_0, raw_1, …
        for position, (name, kind) in enumerate(self._kinds.items()):
            values = _convert_column(frame[name], kind)
            dtype = tf.string if values.dtype == object else values.dtype
            tensors[f"raw_{position}"] = tf.constant(values, dtype)
        for position, (name, kind) in enumerate(self._rule_kinds.items()):
            # A column that only rules read may be left out; they are not checked then.
            column = frame[name] if name in frame.columns else pd.Series([None] * len(frame))
            values = _convert_column(column, kind)
            dtype = tf.string if values.dtype == object else values.dtype
            tensors[f"rule_{position}"] = tf.constant(values, dtype)
        try:
            answer = self._serve(**tensors)
        except tf.errors.InvalidArgumentError as error:
            # Errors that only the graph detects: a file that is no image, or one of another size.
            # The reason is the line before the list of nodes; names of tensors are of no use here.
            reason = str(error.message).split("\n\t")[0].splitlines()[-1]
            reason = re.sub(r"(?<=tensor) \S*/\S*", "", reason)
            raise InvalidRowsError(f"the model cannot read the rows: {reason}") from None
        violated = np.zeros((len(frame), len(self._rules)), dtype=bool)
        if self._rules:
            violated = answer[VIOLATIONS].numpy()
            is_there = [{*names} <= {*frame.columns} for names in self._rule_columns]
            violated = violated & np.array(is_there)
        return answer[self._output].numpy().astype(np.float64), violated


def _name_reader(column):
    """Return the name of the function in READERS for a raw column of `transform.json`."""
    return column.get("stored_as") or column["kind"]


def _list_columns(condition):
    """List the columns that a condition of `transform.json` reads, each once."""
    names = [condition["name"]] if condition.get("name") is not None else []
    for part in condition.get("args", ()):
        names += _list_columns(part)
    return list(dict.fromkeys(names))


def _refuse_what_is_no_number(outputs, frame, wanted):
    """Raise `InvalidRowsError` where a prediction is not finite: no class and no number is one.

    Args:
        outputs: of all rows.
        frame: the rows.
        wanted: bool (rows,), false where a row gets no prediction anyway.
    """
    finite = np.isfinite(outputs).all(axis=tuple(range(1, outputs.ndim)))
    bad = np.flatnonzero(~finite & wanted)
    if len(bad):
        shown = ", ".join(str(frame.index[position]) for position in bad[:10])
        raise InvalidRowsError(
            f"the model's prediction is no finite number for {len(bad)} of {len(outputs)} rows "
            f"(index {shown}{', …' if len(bad) > 10 else ''}); a feature holds an extreme value "
            "there, or the model is damaged"
        )


def _count_elements(feature):
    """Count the elements of a feature's list or image; 0 for scalars."""
    if feature["kind"] == "image":
        return feature["height"] * feature["width"] * feature["channels"]
    return feature.get("length", 0)


def _convert_column(column, kind):
    """Convert a raw column to an input of the graph: (rows,), or of lists (rows, longest list)."""
    if kind in ELEMENT:
        return _pad_lists(column, ELEMENT[kind])
    return READERS[kind](column)


def _pad_lists(column, kind):
    """Pad a column of lists with missing values to the longest: shape (rows, longest list)."""
    cells = [_read_cell(column, value) for value in column.tolist()]
    # All elements at once as one column, so that they are read as scalars of their kind are.
    filled = [cell for cell in cells if len(cell)]
    dtypes = {getattr(cell, "dtype", None) for cell in filled}
    if len(dtypes) == 1 and None not in dtypes:
        flat = pd.Series(np.concatenate(filled), name=column.name)
    else:
        flat = pd.Series(list(itertools.chain(*filled)), dtype=object, name=column.name)
    elements = READERS[kind](flat)
    lengths = np.array([len(cell) for cell in cells], dtype=np.int64)
    width = max(1, int(lengths.max(initial=0)))
    missing = {"integer": MISSING_INTEGER, "real": np.nan, "string": MISSING_STRING}[kind]
    padded = np.full((len(cells), width), missing, dtype=elements.dtype)
    padded[np.arange(width) < lengths[:, None]] = elements
    return padded


def _read_cell(column, value):
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return value
    if isinstance(value, list | tuple):
        return value
    if _is_null(value):
        return []
    if isinstance(value, str):  # as in CSV
        with contextlib.suppress(ValueError):
            elements = json.loads(value)
            if isinstance(elements, list):
                return elements
    raise _make_value_error(column, value, "a list, its JSON or null")


def _read_integers(column):
    """Read int64, exactly: a float is a whole number only up to where floats are exact."""
    expected = "a whole number of 64 bits or null (as a float below 2**53, else as text)"
    missing = column.isna().to_numpy(dtype=bool)
    numbers = np.full(len(column), MISSING_INTEGER, dtype=np.int64)
    values = column[~missing]
    if column.dtype.kind in "bi":
        numbers[~missing] = values.to_numpy(dtype=np.int64)
        return numbers
    whole = [_parse_integer(value) for value in values.tolist()]
    for value, number in zip(values.tolist(), whole, strict=True):
        if number is None or not MISSING_INTEGER <= number < -MISSING_INTEGER:
            raise _make_value_error(column, value, expected)
    numbers[~missing] = whole
    return numbers


def _parse_integer(value):
    """Return a value as a Python int, None where it is no whole number or is not exact."""
    if isinstance(value, int | np.integer | np.bool_):
        return int(value)
    if isinstance(value, float | np.floating):
        return int(value) if abs(value) < EXACT_FLOAT and value == int(value) else None
    if isinstance(value, decimal.Decimal):
        return int(value) if value.is_finite() and value == int(value) else None
    if isinstance(value, str) and WHOLE.fullmatch(text := value.strip(f"{BLANKS}\x7f")):
        return int(text.partition(".")[0])
    return None


def _read_word(value):
    """Return 0 or 1 of a text that says one of them, and all else as it is."""
    if not isinstance(value, str):
        return value
    return BOOLEANS.get(value.strip(f"{BLANKS}\x7f").lower(), value)


def _read_booleans(column):
    """Read 0 and 1 as int64, of booleans, their words or their numbers."""
    column = column.map(_read_word)
    numbers = _read_integers(column)
    for position in np.flatnonzero((numbers != MISSING_INTEGER) & ((numbers < 0) | (numbers > 1))):
        raise _make_value_error(column, column.iloc[position], "true, false or null")
    return numbers


def _read_reals(column):
    """Read float64; a number that no double has becomes the nearest one."""
    if column.dtype.kind in "biuf":
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.array([_parse_real(column, value) for value in column.tolist()], dtype=np.float64)


def _parse_real(column, value):
    if isinstance(value, int | float | np.integer | np.floating | np.bool_ | decimal.Decimal):
        with contextlib.suppress(OverflowError):  # beyond a double
            return float(value)
    elif isinstance(value, str) and NUMBER.fullmatch(value.strip(BLANKS)):
        return float(value.strip(BLANKS))
    elif _is_null(value):
        return np.nan
    raise _make_value_error(column, value, "a number or null")


def _read_timestamps(column):
    """Read int64 microseconds since 1970-01-01 UTC; a value without a zone is in UTC."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    if isinstance(column.dtype, np.dtype) and column.dtype.kind == "M":
        times = column.to_numpy()
        # NaT is -2**63, which is what the graph calls missing.
        numbers = times.astype("datetime64[us]").astype(np.int64)
        if np.datetime_data(times.dtype)[0] != "ns":
            changed = (numbers.astype("datetime64[us]") != times) & ~np.isnat(times)
            if changed.any():  # seconds that 64 bits of microseconds do not reach
                raise _make_value_error(column, times[changed][0], "a time within 292,000 years")
        return numbers
    numbers = [
        MISSING_INTEGER if null else _count_microseconds(column, value)
        for value, null in zip(column.tolist(), column.isna(), strict=True)
    ]
    return np.array(numbers, dtype=np.int64)


def _read_dates(column):
    """Read the days of times as int64 microseconds; of a text what follows the day is left out."""
    column = column.map(lambda value: _cut_date(value) if isinstance(value, str) else value)
    numbers = _read_timestamps(column)
    days = numbers // MICROS_PER_DAY * MICROS_PER_DAY
    return np.where(numbers == MISSING_INTEGER, numbers, days)


def _read_epochs(column, unit):
    """Read times that are numbers since 1970 as Spark reads them; others as `_read_timestamps`."""
    return _read_timestamps(column.map(lambda value: _read_epoch(column, value, unit)))


def _read_epoch(column, value, unit):
    """Return the time of a number, or of its text, as a NumPy datetime; all else as it is."""
    text = value.strip(" ") if isinstance(value, str) else ""
    if isinstance(value, str) and EPOCH.fullmatch(text):
        value = float(text) if "." in text else int(text)
    is_number = isinstance(value, int | float | np.integer | np.floating)
    if not is_number or isinstance(value, bool) or _is_null(value):
        return value
    factor = UNITS[unit]
    if isinstance(value, int | np.integer):
        if not MISSING_INTEGER <= value < -MISSING_INTEGER:
            raise _make_value_error(column, value, f"{unit} since 1970 of 64 bits, or null")
        micros = int(value) * factor if factor else int(value) // 1000
    elif not np.isfinite(value):
        return None
    elif factor:
        exact = decimal.Decimal(float(value) * factor)
        micros = int(exact.quantize(decimal.Decimal(1), decimal.ROUND_HALF_UP))
    else:
        if abs(value) >= 2.0**63:
            raise _make_value_error(column, value, f"{unit} since 1970 of 64 bits, or null")
        micros = int(value) // 1000
    if not -62_135_596_800_000_000 <= micros < 253_402_300_800_000_000:
        raise _make_value_error(column, value, f"{unit} of the years 1 to 9999 since 1970, or null")
    return np.datetime64(micros, "us")


def _cut_date(text):
    return DATE.sub(r"\1", text.strip(f"{BLANKS}\x7f"))


def _parse_time(text):
    """Return a time of a text as Spark casts it: ISO 8601, or a year or month, or fewer digits.

    Raises:
        ValueError: it is none, or not of the years 1 to 9999.
    """
    match = TIME.fullmatch(text.strip(f"{BLANKS}\x7f"))
    if match is None:
        raise ValueError(text)
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    time = datetime.datetime(
        *(int(part) for part in (year, month or 1, day or 1, hour or 0, minute or 0, second or 0)),
        int((fraction or "0")[:6].ljust(6, "0")),
    )
    return time if zone is None else time.replace(tzinfo=_find_zone(zone.strip()))


def _find_zone(name):
    """Return the zone of a name or of a distance from UTC."""
    if name in ("Z", "UTC", "GMT", "UT"):
        return datetime.UTC
    if match := OFFSET.fullmatch(name):
        sign, *parts = match.groups()
        hours, minutes, seconds = (int(part or 0) for part in parts)
        distance = datetime.timedelta(hours=hours, minutes=minutes, seconds=seconds)
        if minutes > 59 or seconds > 59 or distance > datetime.timedelta(hours=18):
            raise ValueError(name)
        return datetime.timezone(-distance if sign == "-" else distance)
    if len(name) == 3 and name not in ZONES_OF_THREE:
        raise ValueError(name)
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, OSError):
        raise ValueError(name) from None


def _count_microseconds(column, value):
    expected = "a datetime of the years 1 to 9999, an ISO 8601 text or null"
    if isinstance(value, str):
        try:
            value = _parse_time(value)
        except ValueError:
            raise _make_value_error(column, value, expected) from None
    if isinstance(value, pd.Timestamp):
        value = value.to_datetime64()
    if isinstance(value, np.datetime64):
        return int(value.astype("datetime64[us]").astype(np.int64))
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        value = datetime.datetime.combine(value, datetime.time())
    if not isinstance(value, datetime.datetime):
        raise _make_value_error(column, value, expected)
    # Not astimezone: it cannot leave the years 1 to 9999, not even by an hour.
    since = value.replace(tzinfo=None) - datetime.datetime(1970, 1, 1)
    offset = value.utcoffset() or datetime.timedelta()
    return (since - offset) // datetime.timedelta(microseconds=1)


def _read_strings(column):
    """Read UTF-8; digits that came as numbers are their text."""
    values = np.full(len(column), MISSING_STRING, dtype=object)
    missing = column.isna().to_numpy(dtype=bool)
    has_nulls = bool(missing.any())
    for position, value in enumerate(column.tolist()):
        if missing[position]:
            continue
        text = _write_text(value, has_nulls)
        try:
            values[position] = text.encode()
        except (AttributeError, UnicodeEncodeError):  # None, or half of a pair of surrogates
            raise _make_value_error(column, value, "text of UTF-8 or null") from None
    return values


def _write_text(value, has_nulls):
    """Return a text, or the digits of a whole number; None for other values."""
    if isinstance(value, str):
        return value
    if isinstance(value, float | np.floating):  # of an integer, where pandas has a null beside it
        value = _parse_integer(value) if has_nulls else None
    is_number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return str(int(value)) if is_number else None


def _read_bytes(column):
    expected = "the bytes of a file, these as Base64 text, or null"
    values = np.full(len(column), MISSING_STRING, dtype=object)
    for position, value in enumerate(column.tolist()):
        if isinstance(value, bytes | bytearray | memoryview):
            values[position] = bytes(value)
        elif isinstance(value, str):  # as in JSON
            try:
                values[position] = base64.b64decode("".join(value.split()), validate=True)
            except ValueError:  # no Base64, or no ASCII
                raise _make_value_error(column, value, expected) from None
        elif not _is_null(value):
            raise _make_value_error(column, value, expected)
    return values


READERS = {
    "integer": _read_integers,
    "real": _read_reals,
    "timestamp": _read_timestamps,
    "boolean": _read_booleans,
    "date": _read_dates,
    **{unit: functools.partial(_read_epochs, unit=unit) for unit in UNITS},
    "string": _read_strings,
    "bytes": _read_bytes,
}


def _is_null(value):
    return pd.api.types.is_scalar(value) and pd.isna(value)


def _shorten(value):
    shown = repr(value.item() if isinstance(value, np.generic) else value)
    return shown if len(shown) <= 80 else shown[:77] + "..."


def _make_value_error(column, value, expected):
    return InvalidRowsError(
        f"raw column {column.name!r} holds {_shorten(value)} of type {type(value).__name__}, "
        f"expected {expected}"
    )


def _take_rows_as_they_come(schema):
    """Have MLflow hand rows on to models of this signature without changing any value.

    Its server makes one type of a column: integers beside a null become floats, a null among texts
    the text "None", the texts NA and null of a CSV file nothing, and 1.5 the integer 1. Its check
    refuses categories, and integers where others were null. The readers above check each value
    instead. Other models in the process, and an MLflow that calls these functions otherwise, go on
    as before: what was changed by then is refused wherever it can be told.
    """
    import mlflow.pyfunc

    server = sys.modules.get("mlflow.pyfunc.scoring_server")
    for module, name, take in (
        (mlflow.pyfunc, "_enforce_schema", _make_frame),
        (server, "infer_and_parse_data", _parse_request),
        (server, "parse_csv_input", _parse_csv),
    ):
        function = getattr(module, name, None)
        if function is None:
            continue
        if not hasattr(function, "raw_schemas"):
            function = _wrap_for_schemas(function, take)
            setattr(module, name, function)
        if schema not in function.raw_schemas:
            function.raw_schemas.append(schema)


def _wrap_for_schemas(function, take):
    """Return a function that calls `take` for the schemas in its `raw_schemas`."""

    @functools.wraps(function)
    def call_either(*values, **named):
        data, schema, *_ = [*values, *named.values(), None]
        frame = take(data) if schema in call_either.raw_schemas else None
        return function(*values, **named) if frame is None else frame

    call_either.raw_schemas = []
    return call_either


def _make_frame(data):
    """Return the rows of a call as a frame; None where MLflow has to make one."""
    if isinstance(data, dict):
        columns = {name: np.asarray(values) for name, values in data.items()}
        for name, values in columns.items():
            if values.dtype.kind == "U" and (values == "None").any():  # a null, as MLflow casts it
                raise InvalidRowsError(
                    f"raw column {name!r} holds 'None', which may have been a null; send the rows "
                    "as dataframe_split or dataframe_records"
                )
        if any(values.ndim != 1 for values in columns.values()):
            return None
        return pd.DataFrame(columns)
    return data if isinstance(data, pd.DataFrame) else None


def _parse_request(data):
    """Return the rows of a JSON request, each value as it stands there; None for other formats."""
    keys = [name for name in data if name in REQUESTS]
    if len(keys) != 1:
        return None
    (key,) = keys
    rows = data[key]
    try:
        if key == "dataframe_split":
            return pd.DataFrame(
                rows["data"], index=rows.get("index"), columns=rows.get("columns"), dtype=object
            )
        return pd.DataFrame(rows, dtype=object)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # MLflow says what is wrong with it


def _parse_csv(file):
    """Return the rows of a CSV file as texts; nothing but an empty cell is null."""
    try:
        return pd.read_csv(file, dtype=str, keep_default_na=False, na_values=[""])
    except Exception as error:
        raise InvalidRowsError(f"the CSV file cannot be read: {error}") from None


def _import_tensorflow():
    """Import TensorFlow without the lines that its C++ core writes to standard error."""
    if "tensorflow" not in sys.modules:
        saved = os.dup(2)
        with tempfile.TemporaryFile() as caught:
            os.dup2(caught.fileno(), 2)
            try:
                import tensorflow
            finally:
                os.dup2(saved, 2)
                os.close(saved)
    import tensorflow

    return tensorflow


mlflow.models.set_model(RawModel())
