"""The prepare stage as others would write it: one rival a file, each at its fastest on 2 cores."""
