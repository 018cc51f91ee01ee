"""Where prepared datasets live: versions, commits, the ledger, the row-group index.

No engine runs here: `prepare` and `score` write files with Spark and hand them over to `publish`,
`stream` and `evaluate` open a `DatasetVersion`. The only home of deltalake.
"""

from pipelines.lake.commit import publish
from pipelines.lake.files import DataFile
from pipelines.lake.ledger import Ledger
from pipelines.lake.version import DatasetVersion

__all__ = ["DataFile", "DatasetVersion", "Ledger", "publish"]
