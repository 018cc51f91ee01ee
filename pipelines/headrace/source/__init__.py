"""Raw tables on Spark, for the stages that read them: listed, opened, joined, checked.

Prepare and score read the same lake by the same recipe; what they do with the rows is their own.
In the order in which a stage comes by:

- `listing`: the files of a table, and the source partitions that they make up; `changed_files`:
  whether they are still the same in the end; `partition_pruning`: folders that a condition on
  partitions leaves out.
- `first_look`: what is certain of tables, columns (`listed_columns`) and SQL (`sql_texts`) before
  Spark starts.
- `load`, `tables`: a table opened with Spark, cast to the declared types (`types`, `raw_schema`);
  `contract`: whether its columns are what the recipe wants.
- `read`: all tables joined to one row a training example; `partition_index`: which file and source
  partition a row is from; `windows`: past steps and later values of a series.
- `rules`: what every row violates, by conditions on Spark (`rule_conditions`), with the reasons
  (`problems`); `quarantine/`: the rejected rows, kept.
- `late_materialization`: columns that the tasks read themselves (`late_reader`) from files that
  they can reach (`local_files`); `dictionaries`: text columns on their way through Arrow.
- `local/`: a table of plain files read without Spark, in processes of this machine.
- `internal_columns`: names of the columns that are added to rows; `spark_errors`: Spark's errors in
  one sentence.
"""
