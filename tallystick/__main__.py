"""`python -m tallystick` is `tally`."""

import sys

if __name__ == "__main__":
    try:
        from tallystick.cli.main import main
    except KeyboardInterrupt:
        # Ctrl-C, before anything was there that could say more.
        sys.exit(130)
    sys.exit(main())
