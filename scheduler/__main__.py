"""`python -m scheduler`, installed as `estafette`."""

from scheduler.cli.app import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
