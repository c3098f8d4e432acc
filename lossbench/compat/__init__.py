"""What we take from other libraries that they keep to themselves, a file for each, with the versions it was seen in."""
