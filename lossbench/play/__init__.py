"""A page for a lesson: losses to be dragged, and where their minimisers go. One file, offline."""
