"""When two rows have the same key: against a model in plain Python of the same words."""

import math
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Any

import pyspark.sql.functions as F
import pyspark.sql.types as T
import pytest

from headrace.recipe import Recipe
from headrace.source.internal_columns import col
from headrace.source.keys import (
    KEY_DEFINITION,
    digest_key,
    find_key_problems,
    has_whole_key,
    propose_key,
    write_key_text,
)
from headrace.source.raw_schema import RawSchema
from tests.tiny import tiny_recipe

pytestmark = pytest.mark.spark

NAN, DAY = float("nan"), date(2020, 1, 2)
MOMENT = datetime(2020, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
# Spark's type -> values of which some are equal, some look alike, and some confuse an encoding.
VALUES: dict[str, list[Any]] = {
    "string": ["", "a", "A", "a ", "1:a", "~", ";", "[", "\x1f", "é", "e\u0301", "10", "9"],
    "bigint": [0, 1, -1, 10, 2**63 - 1, -(2**63)],
    "int": [0, 1, -1, 2**31 - 1],
    "boolean": [True, False],
    "double": [0.0, -0.0, NAN, -NAN, 1.0, 0.1, 1 / 3, math.inf, -math.inf, 1e23, 5e-324],
    "float": [0.0, -0.0, NAN, 1.0, 0.5],
    "decimal(10,2)": [Decimal("0.00"), Decimal("1.50"), Decimal("-1.50"), Decimal("15.00")],
    "date": [DAY, DAY + timedelta(days=1), date(1, 1, 1)],
    "timestamp": [MOMENT, MOMENT + timedelta(microseconds=1)],
    "binary": [b"", b"a", b"\x00", b"\xff", b"a;"],
}
NESTED = [
    "array<string>", "array<bigint>", "array<double>", "array<array<int>>",
    "struct<a:string,b:string>", "struct<a:double,b:array<int>>", "array<struct<a:int,b:double>>",
]  # fmt: skip


def draw(kind: T.DataType, rng: random.Random, *, null: float = 0.25) -> Any:
    """A random value of a type; a null now and then."""
    if rng.random() < null:
        return None
    if isinstance(kind, T.ArrayType):
        return [draw(kind.elementType, rng) for _ in range(rng.randrange(4))]
    if isinstance(kind, T.StructType):
        return tuple(draw(field.dataType, rng) for field in kind.fields)
    return rng.choice(VALUES[kind.simpleString()][:4])


def normalize(value: Any) -> Any:
    """A value that is equal to another in Python where the two are the same in a key."""
    if isinstance(value, list | tuple):
        return (type(value).__name__, *map(normalize, value))
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value + 0.0
    return None if value is None else (type(value).__name__, value)


def parse(sql: str) -> T.StructType:
    return T._parse_datatype_string(sql)


def read_keys(spark: Any, sql: str, rows: list[tuple[Any, ...]]) -> list[Any]:
    """What the keys of rows are; their columns have the types of an SQL text."""
    schema = parse(sql)
    fields = [T.StructField("row", T.IntegerType()), *schema.fields]
    frame = spark.createDataFrame([(i, *row) for i, row in enumerate(rows)], T.StructType(fields))
    raw, names = RawSchema.from_frame(frame), schema.names
    columns = [
        has_whole_key(names).alias("whole"),
        propose_key(names, raw).alias("proposed"),
        digest_key(names, raw, KEY_DEFINITION).alias("digest"),
        *(write_key_text(name, raw, KEY_DEFINITION).alias(f"text_{name}") for name in names),
    ]
    keys = frame.select("row", *columns).orderBy("row")
    if "binary" in sql:  # the text of bytes is no text that leaves Spark
        texts = {f"text_{name}": F.col(f"text_{name}").cast("binary") for name in names}
        keys = keys.withColumns(texts)
    return keys.collect()


@pytest.mark.parametrize("kind", [*VALUES, *NESTED])
def test_keys_are_the_same_where_the_model_says_so(spark: Any, kind: str) -> None:
    rng = random.Random(kind)
    parsed = parse(f"a {kind}, b {kind}")
    types = [field.dataType for field in parsed.fields]
    values = VALUES.get(kind) or [draw(types[0], rng, null=0.1) for _ in range(40)]
    rows = [(value, value) for value in values]
    rows += [tuple(draw(t, rng, null=0.1) for t in types) for _ in range(40)]
    keys = read_keys(spark, f"a {kind}, b {kind}", rows)
    same = 0
    for (i, first), (j, second) in combinations(enumerate(rows), 2):
        assert keys[i]["whole"] is (None not in first)
        if None in first or None in second:
            continue
        expected = normalize(first) == normalize(second)
        same += expected
        assert (keys[i]["digest"] == keys[j]["digest"]) is expected, (first, second)
        if expected:  # a weaker hash only proposes, but it has to propose
            assert keys[i]["proposed"] == keys[j]["proposed"]
            assert keys[i]["text_a"] == keys[j]["text_a"]
    assert same
    assert {len(key["digest"]) for key in keys if key["whole"]} == {16}


@pytest.mark.parametrize("kind", [*VALUES, *NESTED])
def test_spark_groups_and_joins_by_the_same_words(spark: Any, kind: str) -> None:
    rng = random.Random(kind)
    (field,) = parse(f"a {kind}").fields
    values = VALUES.get(kind) or [draw(field.dataType, rng, null=0.1) for _ in range(25)]
    frame = spark.createDataFrame([(value,) for value in [*values, *values]], f"a {kind}")
    digest = digest_key(["a"], RawSchema.from_frame(frame), KEY_DEFINITION)
    frame = frame.select("a", digest.alias("digest"))
    groups = {normalize(value) for value in values}
    assert frame.groupBy("a").count().count() == len(groups)
    pairs = frame.alias("x").join(frame.alias("y"), F.col("x.a") == F.col("y.a"))
    found = pairs.select(F.col("x.digest") == F.col("y.digest")).collect()
    assert all(row[0] for row in found)
    of = [normalize(value) for value in [*values, *values] if value is not None]
    assert len(found) == sum(of.count(value) for value in of)


def test_columns_do_not_run_into_each_other(spark: Any) -> None:
    rows = [("a", "bc"), ("ab", "c"), ("abc", ""), ("", "abc"), ("1:a", "b"), ("1:", "ab")]
    assert len({bytes(k["digest"]) for k in read_keys(spark, "a string, b string", rows)}) == len(
        rows
    )
    (first, second) = read_keys(spark, "a bigint, b bigint", [(1, 23), (12, 3)])
    assert first["digest"] != second["digest"]


def test_a_digest_is_the_same_in_every_release(spark: Any) -> None:
    """Duplicates between partitions are recorded by it: it outlives the program."""
    (key,) = read_keys(
        spark, "a string, b bigint, c double, d date, e timestamp, f array<string>, g decimal(9,2)",
        [("é", 7, 0.1, DAY, MOMENT, ["x", None], Decimal("1.50"))],
    )  # fmt: skip
    micros = 1577934245000006
    text = f"2:é7;{(0.1).hex()};18263;{micros};2[~1:x1.50;"
    assert key["digest"] == sha256(text.encode()).digest()[:16]
    assert key["proposed"] == -2280583628562941879


def test_widened_columns_stay_in_their_split(spark: Any) -> None:
    def texts(sql: str, *values: Any) -> list[str | None]:
        keys = read_keys(spark, f"a {sql}", [(value,) for value in values])
        return [key["text_a"] for key in keys]

    assert texts("int", 1, -7, None) == texts("bigint", 1, -7, None) == ["1", "-7", None]
    assert texts("double", 1.0, -7.0, None) == texts("int", 1, -7, None)
    assert texts("double", 0.0, -0.0, NAN, 0.5, 1e300) == ["0", "0", "NaN", "0.5", "1.0E300"]
    assert texts("decimal(10,2)", Decimal("1.50"), Decimal(10)) == ["1.5", "10"]
    assert texts("decimal(12,4)", Decimal("1.50"), Decimal(10)) == ["1.5", "10"]
    assert texts("decimal(3,0)", Decimal(100)) == ["100"]
    midnight = datetime(2020, 1, 2, tzinfo=UTC)
    assert texts("date", DAY) == texts("timestamp", midnight) == ["2020-01-02"]
    assert texts("string", "1.0", " ") == ["1.0", " "]
    # by definition 1 they were Spark's own
    frame = spark.createDataFrame([(-0.0,)], "a double")
    first = write_key_text("a", RawSchema.from_frame(frame), 1)
    assert frame.select(first).collect()[0][0] == "-0.0"


def problems(workdir: Path, schema: str, *overrides: str) -> list[str]:
    types = {f.name: f.dataType for f in parse(schema).fields}
    return find_key_problems(recipe_of(workdir, *overrides), RawSchema.from_spark_types(types))


def recipe_of(workdir: Path, *overrides: str) -> Recipe:
    return tiny_recipe(workdir, *overrides)


def test_types_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    dedup = "clean.dedup={key: [visit], latest_by: when}"
    assert problems(tmp_path, "visit bigint, when timestamp", dedup) == []
    (text,) = problems(tmp_path, "visit bigint, when string", dedup)
    assert "clean.dedup.latest_by: column 'when' is text, and as text '9' is later than" in text
    assert "source.tables.visits.columns.when" in text
    declared = "source.tables.visits.columns={when: string}"
    assert problems(tmp_path, "visit bigint, when string", dedup, declared) == []
    (joined,) = problems(
        tmp_path, "visit bigint, size string", "clean.dedup={key: [visit], latest_by: size}"
    )
    assert "source.tables.shops.columns.size" in joined
    for kind in ("array<int>", "binary", "struct<a:int>"):
        (no_order,) = problems(tmp_path, f"visit bigint, when {kind}", dedup)
        assert f"column 'when' is {kind}, which has no latest value" in no_order
    found = problems(
        tmp_path, "visit array<map<string,int>>, day map<string,int>", "split.key=[day]",
        "clean.dedup={key: [visit]}",
    )  # fmt: skip
    assert [text.partition(",")[0] for text in found] == [
        "clean.dedup.key: column 'visit' is array<map<string",
        "split.key: column 'day' is map<string",
    ]


def test_list_elements_with_nulls_in_files_of_several_dictionaries(
    spark: Any, tmp_path: Path
) -> None:
    """A column's own list goes wrong in a lambda of Spark 4.3; a digest reads a copy."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [None if i % 5 == 1 else [float(i * 10), None][: i % 3] for i in range(60)]
    table = pa.table({"a": pa.array(rows, pa.list_(pa.float64())), "row": range(60)})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=7)
    frame = spark.read.parquet(str(tmp_path / "a.parquet"))
    digest = digest_key(["a"], RawSchema.from_frame(frame), KEY_DEFINITION)
    found = frame.where(col("a").isNotNull()).select("row", digest.alias("digest")).collect()
    distinct = {normalize(rows[row["row"]]) for row in found}
    assert len({bytes(row["digest"]) for row in found}) == len(distinct)


def collide(content: bytes) -> bytes:
    """Other 64 bytes of the same XXH64, whose seed is Spark's: the second round of a lane makes up
    for what the first one changed."""
    first, second, bits = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 2**64 - 1

    def run_round(word: int) -> int:
        total = (42 + first + second + word * second) & bits
        return (((total << 31) | (total >> 33)) * first) & bits

    words = [int.from_bytes(content[i : i + 8], "little") for i in range(0, 64, 8)]
    changed = [*words]
    changed[0] = words[0] ^ 1
    difference = run_round(words[0]) - run_round(changed[0])
    changed[4] = (words[4] + difference * pow(second, -1, 2**64)) & bits
    return b"".join(word.to_bytes(8, "little") for word in changed)


def test_keys_of_one_hash_are_two_keys(spark: Any) -> None:
    """XXH64 is no cryptographic hash: anybody can make such keys."""
    content = bytes(range(64))
    first, second = read_keys(spark, "a binary", [(content,), (collide(content),)])
    assert first["proposed"] == second["proposed"]
    assert first["digest"] != second["digest"]
