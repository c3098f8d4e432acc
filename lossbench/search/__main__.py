"""`python -m lossbench.search`: what it does is in `lossbench.cli.search`."""

from lossbench.cli.command import command


@command
def main() -> int:
    """Do what the command line asks for."""
    from lossbench.cli.search import main as work

    return work()


if __name__ == "__main__":
    main()
