"""Shuffle Arrow blobs in the first job of a build, so that rows of one key are in one partition.

- `options`: the options of its tasks; `partitioner`: which task and which file a row goes to.
- `map`: a task's rows are partitioned into blobs (`arrow_blobs`), in two rounds where there are
  many targets (`buckets`); `reduce`: a target's blobs are put together, deduplicated (`dedup`,
  `dedup_across_partitions`), counted (`task_counts`), and sent on to the files that they go to
  (`file_buffers`).
- `probe_keys`: which source partitions that are not read have a key of the rows that are.
- `row_hash`: identity and order of rows, from their values alone.
- `merge_statistics`: the statistics of all tasks merged, and the transform fitted on them.
"""
