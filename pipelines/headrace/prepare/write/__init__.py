"""The second job of a build: rows are transformed and written to the dataset's files.

- `job`: what its tasks are told and what they do; `parquet_file`: one file, written; `schema`: its
  columns.
- `tally`: what is counted of a file for the profile; `task_tallies`: how it gets to the driver;
  `raw_examples`: raw rows that go with the data.
"""
