"""Many rows: the same pipeline over blocks that are judged, summed up and forgotten."""
