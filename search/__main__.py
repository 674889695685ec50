"""`python -m search` and the console script `foldwise`."""

import sys

from search import check_system


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        check_system()
    except ImportError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(2)
    try:
        from search.cli.app import run
    except KeyboardInterrupt:  # before there is anything to end
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
