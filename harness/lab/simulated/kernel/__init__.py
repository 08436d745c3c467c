"""A guest's kernel: files, processes, signals, modules, its release."""
