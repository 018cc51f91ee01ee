"""The recipe's keys about when it runs by itself; `deploy/airflow` makes a DAG of them.

Text that is marked as a template is filled in by Airflow for each run, with Airflow's own
variables: `{{ ds }}` is the run's logical date, for example 2026-11-24.
"""

from datetime import date
from typing import Annotated

from pydantic import Field, WithJsonSchema

from headrace.recipe_section import Count, Section, Text

# A date as text, or what pydantic takes for one: seconds since 1970 that are whole days.
_Date = Annotated[
    date, Field(strict=False), WithJsonSchema({"type": ["string", "number"], "format": "date"})
]


class ScoredTable(Section):
    """A table that is scored after the model was judged, and where its predictions go."""

    input: Text
    output: Text


class StageMinutes(Section):
    """Minutes that a stage may take before it is ended and tried again."""

    prepare: Count = 240
    train: Count = 1440
    evaluate: Count = 120
    promote: Count = 30
    score: Count = 240


class RunSchedule(Section):
    """The schedule of the whole pipeline: prepare, train, evaluate, promote, score."""

    cron: Text = "@daily"
    """Five fields, or a preset such as `@daily`."""
    start: _Date
    """First logical date. The run of a date begins when what the date names is over: that of
    2026-11-24, by `@daily`, at the end of that day."""
    end: _Date | None = None
    timezone: Text = "UTC"
    """Of `cron` and `start`. `{{ ds }}` stays in UTC; in Berlin the day is
    `{{ logical_date.in_timezone('Europe/Berlin') | ds }}`."""
    catchup: bool = False
    """Whether dates before today that had no run get one."""
    partitions: Text | None = None
    """Template of `source.tables.<main>.partitions`: the logical date selects what is read, for
    example `date <= '{{ ds }}'`. Prepare takes back what it no longer reads, so it has to name all
    of the past, not one day. Of a condition that changed, only the source partitions that came or
    went are processed."""
    wait_for: list[Text] = []
    """Templates of files, folders or URLs that have to be there before a run begins, for example
    `${lake}/flights/date={{ ds }}/_SUCCESS`."""
    wait_minutes: Count = 720
    """How long they are waited for."""
    score: list[ScoredTable] = []
    """Templates as well. Empty: nothing is scored."""
    retries: Annotated[int, Field(ge=0)] = 2
    """Of a stage that failed; a gate that failed is no reason to try again."""
    retry_minutes: Count = 5
    """Between two tries."""
    minutes: StageMinutes = StageMinutes()
    deadline_minutes: Count | None = None
    """From the time a run is queued to its end; missing it is told to Airflow's log and hooks."""
    train_pool: Text | None = None
    """Airflow pool for train and evaluate, of as many slots as there are GPU machines."""
