"""A race: losses get seeds until the best one is known; those that are decided get no more."""
