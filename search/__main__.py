"""`python -m search` and the console script `foldwise`."""

import sys

from search import check_names


def main() -> None:
    """Run the command line and leave with its exit code."""
    try:
        check_names()
    except ImportError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(2)
    from search.cli.app import run

    run()


if __name__ == "__main__":
    main()
