"""`python -m lossbench.advise`: what it does is in `lossbench.cli.advise`."""

from lossbench.cli.command import command


@command
def main() -> int:
    """Do what the command line asks for."""
    from lossbench.cli.advise import main as work

    return work()


if __name__ == "__main__":
    main()
