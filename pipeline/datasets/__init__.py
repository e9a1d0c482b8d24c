"""Where files lie and what their numbers mean: one module a data set, and nothing about the method."""
