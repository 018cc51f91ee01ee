"""Settings of Spark that decide which rows are read and what their values are.

They come from three places: a cluster's `spark-defaults.conf`, a session that is running already,
and a recipe's `spark.conf`. All of them are set to what a dataset means (`PINNED`), whatever the
first two say; a recipe that says otherwise is refused.
"""

from collections.abc import Mapping

PINNED: Mapping[str, str] = {
    # Files that are left out without a word.
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.files.ignoreCorruptFiles": "false",
    "spark.files.ignoreMissingFiles": "false",
    # What a query means.
    "spark.sql.ansi.enabled": "true",
    "spark.sql.ansi.doubleQuotedIdentifiers": "false",
    "spark.sql.ansi.enforceReservedKeywords": "false",
    "spark.sql.storeAssignmentPolicy": "ANSI",
    "spark.sql.caseSensitive": "true",
    "spark.sql.parser.quotedRegexColumnNames": "false",
    "spark.sql.parser.escapedStringLiterals": "false",
    "spark.sql.decimalOperations.allowPrecisionLoss": "true",
    "spark.sql.mapKeyDedupPolicy": "EXCEPTION",
    # Times. Spark 3 refuses days before 1582 and times before 1900 without the modes of rebasing.
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInWrite": "CORRECTED",
    "spark.sql.avro.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.sql.parquet.int96AsTimestamp": "true",
    "spark.sql.parquet.int96TimestampConversion": "false",
    # Which columns files have, and their types.
    "spark.sql.parquet.binaryAsString": "false",
    "spark.sql.parquet.mergeSchema": "false",
    "spark.sql.orc.mergeSchema": "false",
    "spark.sql.parquet.respectSummaryFiles": "false",
    "spark.sql.parquet.fieldId.read.enabled": "false",
    "spark.sql.sources.partitionColumnTypeInference.enabled": "true",
    "spark.sql.sources.validatePartitionColumns": "true",
    "spark.sql.sources.useV1SourceList": "avro,csv,json,kafka,orc,parquet,text",
    "spark.sql.hive.convertMetastoreParquet": "true",
    "spark.sql.hive.convertMetastoreOrc": "true",
    "spark.sql.json.enablePartialResults": "true",
}
"""Setting -> its value in every session of Headrace."""
LEGACY_PREFIX = "spark.sql.legacy."
"""What begins so brings back what older releases did; none is in force but those of `ALLOWED`."""
ALLOWED = frozenset({"spark.sql.legacy.parquet.nanosAsLong", "spark.sql.legacy.javaCharsets"})
"""What a recipe may say of that kind: files that Spark cannot read otherwise."""
REFUSED = ("spark.hadoop.mapreduce.input.pathFilter.class",)
"""What cannot be undone in a session, and may not be set: it chooses among a table's files."""


def format_setting(value: object) -> str:
    """Return a setting's value as Spark takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def find_unpinned(settings: Mapping[str, object]) -> dict[str, str]:
    """Find the settings that differ from what is in force in every session of Headrace.

    Returns:
        setting -> what is in force instead: a value, or "not set".
    """
    unpinned = {}
    for key, value in settings.items():
        if key in PINNED:
            if format_setting(value).lower() != PINNED[key].lower():
                unpinned[key] = PINNED[key]
        elif key in REFUSED or (key.startswith(LEGACY_PREFIX) and key not in ALLOWED):
            unpinned[key] = "not set"
    return unpinned
