"""The command line, as `python -m harness`: how one process of the harness starts another."""

from harness.cli.main import main

if __name__ == "__main__":
    main()
