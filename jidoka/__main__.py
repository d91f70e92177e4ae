"""`python -m jidoka`: the command line."""

import sys


def main() -> None:
    """Run it. An interruption is an exit status even before there is anything to interrupt."""
    try:
        from jidoka.cli.main import run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
