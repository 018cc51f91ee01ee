"""The first job of a build: a shuffle of Arrow blobs, at whose end rows of one key have met.

- `options`: what its tasks are told; `partitioner`: which task and which file a row goes to.
- `map`: a task's rows are partitioned into blobs (`arrow_blobs`); `reduce`: a partition's blobs are
  put together, deduplicated (`dedup`, `dedup_across_partitions`), counted (`task_counts`), and sent
  on to the files that they go to (`file_buffers`).
- `row_hash`: identity and order of rows, from their values alone.
- `merge_statistics`: the statistics of all tasks merged, and the transform fitted on them.
"""
