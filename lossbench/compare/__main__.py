"""`python -m lossbench.compare`: what it does is in `lossbench.cli.compare`."""

from lossbench.cli.command import command


@command
def main() -> int:
    """Do what the command line asks for."""
    from lossbench.cli.compare import main as work

    return work()


if __name__ == "__main__":
    main()
