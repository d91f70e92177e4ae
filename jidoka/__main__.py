"""`python -m jidoka`: the command line."""

from jidoka.cli.main import run

if __name__ == "__main__":
    run()
