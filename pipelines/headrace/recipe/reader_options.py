"""Check the options of Spark's readers: one that is accepted has its effect.

Columns of CSV and JSON are read as texts, and the recipe's declared types read the texts. Options
about how Spark would read types have no effect then; nor has `mode`, because every line that is no
row is counted and kept. An option that is accepted and does nothing would be a wrong value that
nobody sees.
"""

from collections.abc import Mapping

from headrace.errors import Problem
from headrace.recipe.lake_sections import Source, Table
from headrace.recipe.problems import suggest_nearest

_FILES = {
    "basePath", "ignoreCorruptFiles", "ignoreMissingFiles", "modifiedAfter", "modifiedBefore",
    "pathGlobFilter", "recursiveFileLookup",
}  # fmt: skip
_KNOWN: Mapping[str, frozenset[str]] = {
    "parquet": frozenset({*_FILES, "datetimeRebaseMode", "int96RebaseMode", "mergeSchema"}),
    "orc": frozenset({*_FILES, "mergeSchema"}),
    "csv": frozenset({
        *_FILES, "charset", "charToEscapeQuoteEscaping", "comment", "delimiter", "emptyValue",
        "encoding", "enforceSchema", "escape", "extension", "header", "ignoreLeadingWhiteSpace",
        "ignoreTrailingWhiteSpace", "lineSep", "maxCharsPerColumn", "maxColumns", "multiLine",
        "nullValue", "quote", "sep", "unescapedQuoteHandling",
    }),
    "json": frozenset({
        *_FILES, "allowBackslashEscapingAnyCharacter", "allowComments", "allowNonNumericNumbers",
        "allowNumericLeadingZeros", "allowSingleQuotes", "allowUnquotedControlChars",
        "allowUnquotedFieldNames", "charset", "dropFieldIfAllNull", "encoding", "lineSep",
        "multiLine", "samplingRatio",
    }),
}  # fmt: skip
"""Format -> options of its reader; those of Delta and Iceberg are their readers' own."""
_TYPED = "columns are read as texts; declare the type in {where}.columns, and see `derive`"
_COUNTED = "lines that are no rows are counted and kept in the quarantine, whatever it says"
_WITHOUT_EFFECT: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "dateFormat", "enableDateTimeParsingFallback", "inferSchema", "locale", "nanValue",
            "negativeInf", "positiveInf", "preferDate", "prefersDecimal", "primitivesAsString",
            "timeZone", "timestampFormat", "timestampNTZFormat",
        ),
        _TYPED,
    ),
    "mode": _COUNTED,
    "columnNameOfCorruptRecord": _COUNTED,
    "columnPruning": "it would cut off lines before they are checked",
}  # fmt: skip


def check_reader_options(source: Source) -> list[Problem]:
    """Find options of tables that the reader of their format does not have, or that do nothing."""
    return [
        problem
        for name, table in source.tables.items()
        for problem in _check_table(f"source.tables.{name}", table)
    ]


def _check_table(where: str, table: Table) -> list[Problem]:
    if table.format == "delta":
        return _check_versions(where, table)
    if table.format not in _KNOWN:
        return []
    known = {option.lower(): option for option in _KNOWN[table.format]}
    without_effect = {option.lower(): why for option, why in _WITHOUT_EFFECT.items()}
    is_text = table.format in ("csv", "json")
    problems = []
    for option, value in table.options.items():
        key = f"{where}.options.{option}"
        if option.lower() in known:
            continue
        if is_text and option.lower() in without_effect:
            if option.lower() == "mode" and str(value).upper() == "PERMISSIVE":
                continue
            why = without_effect[option.lower()].format(where=where)
            problems.append(Problem(key, f"has no effect: {why}", "remove it"))
        else:
            text = f"the reader of {table.format} has no such option"
            problems.append(Problem(key, text, suggest_nearest(option, list(known.values()))))
    return problems


def _check_versions(where: str, table: Table) -> list[Problem]:
    """Find options that have a key of their own: as options they would hide what was read."""
    keys = {"versionasof": "version_as_of", "timestampasof": "timestamp_as_of"}
    return [
        Problem(f"{where}.options.{option}", "is a key of the table", f"say {keys[option.lower()]}")
        for option in table.options
        if option.lower() in keys
    ]
