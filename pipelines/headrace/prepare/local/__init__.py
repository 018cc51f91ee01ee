"""Prepare plain Parquet files without Spark, in processes of this machine.

Tasks run the kernels of Spark's tasks on the same plan, so that files, ledger and transform are the
same, byte for byte. What Spark alone does right is left to it (`NeedsSparkError`):

- `choice`: by size, and by what runs already, whether a build goes without Spark;
- `table`: the columns and files that Spark would find;
- `label`, `casts`, `hashes`, `assign`: what Spark computes of labels, casts, keys and splits;
- `jobs`, `tasks`: the two jobs of a build; `blob_store`: what tasks leave for others;
- `workers`: the processes.
"""
