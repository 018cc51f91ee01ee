"""Keep rejected rows: all their columns as they were read, the rules they broke and the reasons.

`by_query` asks Spark for them in another look at the table; `in_tasks` has the tasks that met them
read them from their files. Both write through `writer`.
"""
