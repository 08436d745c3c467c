"""Mutations: the world is broken on purpose, and each scenario has to notice what it claims.

`pytest --mutate NAME` applies one for a run, `skunk mutations` runs the scenarios with each of them
(docs/mutations.md). They name what they replace as objects of the model, so that the model is
imported with `table`, and with nothing else here.
"""
