"""Entry point: the version without importing anything, all else through the command tree."""

import gc
import sys


def main() -> None:
    """Run `smcli` and exit with its code."""
    try:
        if sys.argv[1:] == ["--version"] and sys.stdout is not None:
            from smcli import __version__

            sys.stdout.write(f"smcli {__version__}\n")
            sys.stdout.flush()
            sys.exit(0)
        gc.set_threshold(100_000, 50, 50)  # imports make no garbage, looking for it costs a start 15 ms
        from smcli.cli.app import run

        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)


if __name__ == "__main__":
    main()
