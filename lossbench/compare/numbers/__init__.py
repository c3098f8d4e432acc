"""The numbers of a comparison: selection, statistics, ranks. No figure is drawn here."""
