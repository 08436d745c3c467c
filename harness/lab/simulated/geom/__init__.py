"""GEOM: partitions, gnop(8), and their commands."""
