from headrace.api import Dataset as Dataset
from headrace.api import Model as Model
from headrace.api import Report as Report
from headrace.api import RowLedger as RowLedger
from headrace.api import RunResult as RunResult
from headrace.api import open as open
from headrace.api import run as run

__version__: str
