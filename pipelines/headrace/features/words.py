"""Split texts into words alike on Arrow values and on tensors.

ASCII letters become lower case and ASCII punctuation becomes spaces where asked for; then a text is
split at ASCII white space. A missing or blank text has no words.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.columns.values import Values

if TYPE_CHECKING:
    from headrace.features.tensors import Column

# RE2, as in TensorFlow: ASCII punctuation, and ASCII white space as C's isspace has it.
_PUNCTUATION = r"[!-/:-@\[-`{-~]"
_WHITE_SPACE = r"[\t\n\v\f\r ]+"


@dataclass(frozen=True)
class WordSplitter:
    """A way to split texts into words.

    Attributes:
        lower: whether ASCII letters become lower case.
        strip_punctuation: whether ASCII punctuation becomes spaces.
    """

    lower: bool
    strip_punctuation: bool

    def split_values(self, values: Values) -> Values:
        """Return the words of a text column as a list column."""
        texts = values.array
        if pa.types.is_dictionary(texts.type):
            texts = pc.cast(texts, pa.string())
        texts = pc.fill_null(texts, "")
        if self.lower:
            texts = pc.ascii_lower(texts)
        if self.strip_punctuation:
            texts = pc.replace_substring_regex(texts, _PUNCTUATION, " ")
        texts = pc.utf8_trim(pc.replace_substring_regex(texts, _WHITE_SPACE, " "), " ")
        lists = pc.split_pattern(texts, " ")
        counts = np.where(
            pc.equal(texts, "").to_numpy(zero_copy_only=False),
            0,
            pc.list_value_length(lists).to_numpy(zero_copy_only=False),
        )
        words = pc.list_flatten(lists)
        words = words.filter(pc.not_equal(words, ""))
        offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        return Values("strings", words, np.zeros(len(words), bool), offsets)

    def split_tensors(self, column: "Column") -> "Column":
        """Return the words of a text column as a list column of tensors."""
        import tensorflow as tf

        from headrace.features.tensors import MISSING_STRING, read_tensor

        texts = tf.where(column.missing, tf.constant(b""), column.tensor)
        if self.lower:
            texts = tf.strings.lower(texts)
        if self.strip_punctuation:
            texts = tf.strings.regex_replace(texts, _PUNCTUATION, " ")
        texts = tf.strings.regex_replace(texts, _WHITE_SPACE, " ")
        words = tf.strings.split(tf.strings.regex_replace(texts, "^ | $", ""), " ")
        padded = words.to_tensor(default_value=MISSING_STRING)
        return read_tensor(padded, "strings", empty_is_missing=True)
