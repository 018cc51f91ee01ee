"""Raw tables on Spark, for the stages that read them: listed, opened, checked, joined.

Prepare and score read the same lake by the same recipe; what they do with the rows is their own.
"""
