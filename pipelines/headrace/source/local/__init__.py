"""Read a table of plain Parquet or CSV files without Spark, in processes of this machine.

Prepare and score do so where rows are few enough; what Spark alone does right is left to it
(`needs_spark.NeedsSparkError`):

- `choice`: by size, and by what runs already, whether a stage goes without Spark;
- `table`, `csv_files`: the columns and files that Spark would find;
- `row_parts`: what of the files a task reads; `casts`, `checks`: declared types, and values that
  are lost; `quarantine`: rejected rows, kept;
- `workers`: the processes.
"""
