"""``python -m nxkernel_cli`` is the command ``nxkernel``."""

from nxkernel_cli.main import main

if __name__ == "__main__":
    main(prog_name="nxkernel")
