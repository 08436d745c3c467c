"""Measurements on nodes: resyncs, failovers, writes, and the load beside them."""
