"""`python -m lossbench`: what it does is in `lossbench.cli.run`."""

from lossbench.cli.command import command


@command
def main() -> int:
    """Do what the command line asks for."""
    from lossbench.locate import without_collecting

    with without_collecting():
        from lossbench.cli.run import main as work

    return work()


if __name__ == "__main__":
    main()
