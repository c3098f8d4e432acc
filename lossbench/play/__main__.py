"""`python -m lossbench.play`: what it does is in `lossbench.cli.play`."""

from lossbench.cli.command import command


@command
def main() -> int:
    """Do what the command line asks for."""
    from lossbench.cli.play import main as work

    return work()


if __name__ == "__main__":
    main()
