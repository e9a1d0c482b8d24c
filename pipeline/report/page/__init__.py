"""The report of a data set: one HTML file, with its pictures and tables beside it."""
