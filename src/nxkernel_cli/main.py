"""The command ``nxkernel``: its nouns, and what happens to every failure."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from nxkernel_cli.audit import audit
from nxkernel_cli.call import call
from nxkernel_cli.contracts import contracts
from nxkernel_cli.demo import demo
from nxkernel_cli.doctor import doctor
from nxkernel_cli.failures import OK, report
from nxkernel_cli.init import init
from nxkernel_cli.plugins import plugins
from nxkernel_cli.replay import replay

__all__ = ["main"]


class Program(click.Group):
    """The group of all commands; nothing leaves it as a traceback."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run the command in *args* and exit: with what it returns, or with the error's code."""
        words = list(sys.argv[1:] if args is None else args)
        try:
            result = super().main(words, prog_name, complete_var, standalone_mode=False, **extra)
            code = result if isinstance(result, int) else OK
        except Exception as error:  # the last one who can turn it into words
            code = report(error, words)
        sys.exit(code)


def _version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        import nxkernel

        click.echo(f"nxkernel {nxkernel.__version__}")
        context.exit()


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 ok, 1 a failure was found, 2 usage, 3 denied, 4 integrity failure, "
    "5 sandbox level not available.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Print the version.",
)
@click.option("--debug", is_flag=True, expose_value=False, help="Print the traceback of an error.")
def main() -> None:
    """Plugins in confined processes, and what they did."""


for command in (demo, doctor, init, plugins, contracts, call, audit, replay):
    main.add_command(command)
