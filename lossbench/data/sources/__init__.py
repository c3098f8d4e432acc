"""Sources: the clean data sets, whole and in memory, with a training and a test part.

The test part is always the same: where a source has no official one, it is drawn by a stream that no seed changes. Each
source is a function with `@source(...)` in a file of its kind here; its name is that of the function.
"""
