"""Several pairs on one host: room for them, a pair to each worker process, one run of all parts."""
