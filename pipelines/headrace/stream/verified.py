"""Remember which row groups were compared with their fingerprints, epoch after epoch.

A fingerprint finds what a sum of words lets through: values that changed places, and changes that
add up to nothing. Files are not changed once they are published, so that one look at each row group
in a process is enough; the sums are compared in every epoch.
"""

import numpy as np

from headrace.stream.row_ranges import RowGroupIndex


class VerifiedRowGroups:
    """The row groups of a split that were verified; shared by threads. One byte for each."""

    def __init__(self, index: RowGroupIndex) -> None:
        self._firsts = index.find_first_groups()
        self._are_verified = np.zeros(len(index), bool)

    def has(self, file: int, row_group: int) -> bool:
        """Return whether a row group was verified.

        Args:
            file: position in the split's list of files.
            row_group: position in its file.
        """
        return bool(self._are_verified[self._firsts[file] + row_group])

    def add(self, file: int, row_group: int) -> None:
        """Note that a row group was verified."""
        self._are_verified[self._firsts[file] + row_group] = True
