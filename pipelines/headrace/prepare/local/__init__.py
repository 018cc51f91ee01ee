"""Prepare plain files without Spark, in processes of this machine.

Tasks run the kernels of Spark's tasks on the same plan, so that files, ledger and transform are the
same, byte for byte. How rows are read, and whether a build goes without Spark at all, is in
`source.local`:

- `build`: a build from the choice to the rows that are written;
- `label`, `hashes`, `assign`: what Spark computes of labels, keys and splits;
- `jobs`, `tasks`: the two jobs of a build; `blob_store`: what tasks leave for others.
"""
