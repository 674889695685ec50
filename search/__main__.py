"""`python -m search` and the console script `foldwise`."""


def main() -> None:
    """Run the command line and leave with its exit code."""
    from search.cli.app import run

    run()


if __name__ == "__main__":
    main()
