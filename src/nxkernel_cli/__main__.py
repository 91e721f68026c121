"""``python -m nxkernel_cli`` is the command ``nxkernel``."""

import os
import sys

if __name__ == "__main__" and not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:
    # -m puts the current folder first: in a plugin's folder its json.py would be taken for json.
    del sys.path[0]

from nxkernel_cli.main import main

if __name__ == "__main__":
    main(prog_name="nxkernel")
