"""``nxkernel audit proof`` and ``key``: evidence for somebody who does not have the log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nxkernel_cli.audit_place import archive_option, log_path, place_argument
from nxkernel_cli.failures import OK
from nxkernel_cli.output import emit, json_option, say

if TYPE_CHECKING:
    from nxkernel.audit.proofs import Consistency, Inclusion

__all__ = ["key", "proof"]

_file = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(short_help="Prove that a row is in the log, or that the log continues an old one.")
@place_argument
@click.argument("seq", metavar="[ROW]", type=click.IntRange(min=1), required=False)
@click.option(
    "--since", metavar="FILE", type=_file, help="An older checkpoint that the log continues."
)
@click.option(
    "--checkpoint",
    "checkpoint_file",
    metavar="FILE",
    type=_file,
    help="The checkpoint that the proof is about [default: the log as it is now].",
)
@archive_option
@json_option
def proof(
    place: Path,
    seq: int | None,
    since: Path | None,
    checkpoint_file: Path | None,
    archives: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Print a proof that row ROW is in the log, or with --since that it continues a checkpoint.

    Whoever has the checkpoint checks it with `verify.py --proof FILE`, without the log.
    """
    if (seq is None) == (since is None):
        raise click.UsageError("give a ROW, or an older checkpoint with --since")
    made = _made(place, seq, since, _text(checkpoint_file), archives)
    if as_json:
        emit({"ok": True, "checkpoint": made.checkpoint, "proof": made.text()})
    else:
        click.echo(made.text(), nl=False)  # as it is: no line may be wrapped
    return OK


def _made(
    place: Path,
    seq: int | None,
    since: Path | None,
    note: str | None,
    archives: tuple[Path, ...],
) -> Inclusion | Consistency:
    from nxkernel.audit.checkpoint import Checkpoint
    from nxkernel.audit.prover import prove_consistency, prove_inclusion

    if seq is not None:
        return prove_inclusion(log_path(place), seq, note, archives=archives)
    return prove_consistency(
        log_path(place), Checkpoint.parse(_text(since) or ""), note, archives=archives
    )


def _text(file: Path | None) -> str | None:
    return None if file is None else file.read_text(encoding="utf-8", errors="replace")


@click.command(short_help="Print what checkpoints of a key are checked with.")
@click.argument("key_file", metavar="KEY_FILE", type=_file)
@click.argument("name", metavar="NAME")
@json_option
def key(key_file: Path, name: str, as_json: bool) -> int:
    """Print the verifier key of the private key in KEY_FILE, which signs as NAME."""
    from nxkernel.audit.note import Signer

    verifier = Signer.load(name, key_file).verifier.text()
    if as_json:
        emit({"ok": True, "name": name, "verifier_key": verifier})
    else:
        say(verifier)
    return OK
