"""The harness itself on trial: conformance, mutations, soak, fuzz."""
