"""`python -m lossbench.rag`: what it does is in `lossbench.cli.rag`."""

from lossbench.cli.command import command


@command
def main() -> int:
    """Do what the command line asks for."""
    from lossbench.cli.rag import main as work

    return work()


if __name__ == "__main__":
    main()
