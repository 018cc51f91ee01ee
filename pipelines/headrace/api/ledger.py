"""Show the row ledger of a dataset version in a notebook."""

from headrace.api.html import format_section, format_table
from headrace.lake.ledger import Ledger


class RowLedger(Ledger):
    """The row accounting of a dataset version, shown as a table in a notebook.

    Attributes:
        read: rows that were read.
        published: split -> rows.
        quarantined: rule -> rows.
        duplicates: rows that were left out as duplicates.
        filtered: reason -> rows.
    """

    def _repr_html_(self) -> str:
        rows = [("rows read", self.read)]
        rows += [(f"published, {split}", count) for split, count in self.published.items()]
        rows += [(f"quarantined, {rule}", count) for rule, count in self.quarantined.items()]
        rows.append(("duplicates", self.duplicates))
        rows += [(f"filtered, {reason}", count) for reason, count in self.filtered.items()]
        rows.append(("accounted for", self.accounted_rows))
        return format_section("Row ledger", format_table((n, f"{count:,}") for n, count in rows))
