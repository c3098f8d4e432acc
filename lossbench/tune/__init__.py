"""The tuned comparison: the same search budget for each loss, then fresh seeds with the values that were found."""
