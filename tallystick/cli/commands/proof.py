"""Proofs for outsiders: write one, and check one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tallystick.cli import output
from tallystick.cli.command import LOOKS, Group, argument, command, read
from tallystick.cli.errors import CommandError
from tallystick.cli.files import read_text
from tallystick.node.errors import ExitCode

if TYPE_CHECKING:
    from tallystick.cli.options import Options

prove: Final = Group("prove", help="Prove something to somebody who has no ledger.", short_help="Prove it to outsiders")
prove.add_command(
    read(
        "points",
        "A proof of somebody's sealed points, for a file: tally prove points PARTNER > FILE.",
        argument("PARTNER"),
        op="prove_points",
    )
)

proof: Final = Group("proof", help="Check what somebody else has proved.", short_help="Check a proof")


def _check(options: Options, file: str) -> int:
    import json
    from pathlib import Path

    from tallystick.cli import proof_check
    from tallystick.cli.text import stamp
    from tallystick.node.currency import POINT, money_text

    try:
        shown = proof_check.check(json.loads(read_text(Path(file))))
    except proof_check.BadProof as error:
        raise CommandError("proof-refused", f"{file} proves nothing: {error}", exit_code=ExitCode.UNTRUSTED) from error
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        # What somebody has written there may be anything: which part of ours stumbles over it says nothing to anybody.
        message = f"{file} proves nothing: it is no proof, or a part of it is missing or damaged"
        hint = "ask for it again: `tally prove points PARTNER > FILE`"
        raise CommandError("proof-refused", message, hint=hint, exit_code=ExitCode.UNTRUSTED) from error
    if options.json:
        output.result_json(shown)
        return 0
    anew = f"\n{proof_check.refounded_words(shown['refounded'])}" if "refounded" in shown else ""
    seals = f"sealed by {shown['votes']} of {shown['sealers']}"
    output.result(
        f"partner {shown['partner']} has {money_text(shown['points'], POINT)} in ledger {shown['ledger'][:8]}\n"
        f"at block #{shown['height']} of {stamp(shown['time'])}, {seals}{anew}\n"
        "it does not show what was sealed later, who the partner is, or that these sealers are honest"
    )
    return 0


proof.add_command(command("check", "Check a proof, without any ledger.", argument("FILE"), dry=LOOKS)(_check))
