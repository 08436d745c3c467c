"""The commands for a pair that stays up between them, and `doctor`."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from typing import Annotated, Literal

import typer

from harness.cli.cut_command import CutCommand, cuttable
from harness.cli.options import (
    HastctlOption,
    HastdOption,
    ImageOption,
    LabOption,
    PairOption,
    SettingsOption,
    examples,
)
from harness.config import paths
from harness.errors import MissingTool
from harness.lab.choose import DoctorLab, LabName, mark_of
from harness.record.marked import prefix

# ruff: noqa: PLC0415 - every command imports what it needs itself (harness/cli/main.py)

app = typer.Typer(rich_markup_mode=None)

Node = Literal["skunk1", "skunk2"]

UpLab = Annotated[LabName | None, typer.Option("--lab", help="Which pair, where several are up.")]
UpPair = Annotated[str | None, typer.Option("--pair", help="Which pair, where several are up.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object, for a script.")]
NodeArgument = Annotated[Node, typer.Argument(help="The node.", show_default=False)]


@app.command(
    "doctor",
    epilog=examples(
        "skunk doctor",
        "skunk doctor --lab qemu --probe",
        "skunk doctor --json | jq '.labs[] | select(.ready) | .name'",
    ),
)
def doctor(
    lab: Annotated[DoctorLab | None, typer.Option(help="Only this lab.")] = None,
    image: ImageOption = None,
    probe: Annotated[
        bool, typer.Option(help="Try KVM with the image now: up to 30 s, and remembered.")
    ] = False,
    settings: SettingsOption = paths.SETTINGS,
    as_json: Json = False,
) -> None:
    """Say what each lab lacks on this host, and the command that mends it. Changes nothing.

    Ends with 0 when the lab asked for is ready, or, without --lab, when a lab with real machines
    is; else with 3.
    """
    from harness.doctor.mend import host_in_words

    if not as_json:
        typer.echo(host_in_words())
    from harness.doctor import checks

    room = checks.Room.look()
    if not as_json:
        typer.echo(room)
    labs = []
    for report in checks.examine(settings, lab=lab, image=image, probe=probe):
        labs.append(report)
        if not as_json:
            checks.show(report)
    if as_json:
        typer.echo(checks.as_json(room, labs, lab and labs[0].name))
    raise typer.Exit(0 if checks.ready(labs, lab) else 3)


@app.command(
    "up",
    epilog=examples(
        "skunk up --lab simulated",
        "skunk up --lab qemu --image FreeBSD-14.2-RELEASE-amd64.qcow2 --bare",
        "skunk up --lab qemu --foreground",
    ),
)
def up(
    context: typer.Context,
    *,
    lab: LabOption = "vagrant",
    pair: PairOption = "default",
    image: ImageOption = None,
    provisioned: Annotated[
        bool, typer.Option("--provision", help="hast.conf and all, but no metadata and no roles.")
    ] = False,
    bare: Annotated[
        bool, typer.Option("--bare", help="Boot both, and do nothing to them.")
    ] = False,
    foreground: Annotated[bool, typer.Option(help="Stay in front until Ctrl-C.")] = False,
    seed: Annotated[int | None, typer.Option(help="The chance of the simulated lab.")] = None,
    settings: SettingsOption = paths.SETTINGS,
    hastd: HastdOption = None,
    hastctl: HastctlOption = None,
) -> None:
    """Boot a pair, set it up as the scenarios have it, and leave it up.

    By default skunk1 is primary with the pool imported, and skunk2 secondary and in sync. A process
    in the background, the keeper, holds the machines until `skunk down`; it listens on a UNIX
    socket that only you can open.
    """
    if provisioned and bare:
        raise typer.BadParameter("--provision and --bare exclude each other", ctx=context)
    if bare and (hastd or hastctl):
        raise typer.BadParameter("--bare changes nothing on a node: no program either", ctx=context)
    mark = prefix(mark_of(lab))
    start = time.monotonic()

    def say(text: str) -> None:
        typer.echo(f"{mark}{time.monotonic() - start:6.1f} s  {text}")

    say(f"the {lab} lab, pair {pair!r}")
    from harness.config import settings as settings_file
    from harness.lab.choose import check_software, replaced_in_words
    from harness.operate.bring_up import Order, keep, start_keeper

    # Before a keeper is started.
    loaded = settings_file.load(settings).with_programs(hastd or (), hastctl or ())
    check_software(lab, loaded)
    replaced_in_words(loaded)
    order = Order(
        lab=lab,
        pair=pair,
        image=None if image is None else image.absolute(),
        settings=settings.absolute(),
        seed=seed,
        hastd=tuple(loaded.program_words("hastd")),
        hastctl=tuple(loaded.program_words("hastctl")),
        state="bare" if bare else "provisioned" if provisioned else "set-up",
    )
    if foreground:
        is_up = False

        def ready() -> None:
            nonlocal is_up
            is_up = True
            say("up; Ctrl-C stops it")

        try:
            keep(order, say, ready)
        except KeyboardInterrupt:
            if not is_up:
                raise
        say("stopped; nothing is left")
        return
    start_keeper(order, say)
    say("up: `skunk status --watch`, `skunk ssh skunk1 hastctl status`, `skunk down`")


@app.command(
    "down",
    epilog=examples(
        "skunk down",
        "skunk down --lab qemu --pair second",
    ),
)
def down(lab: UpLab = None, pair: UpPair = None) -> None:
    """Stop a pair that is up and remove all of it, also what a keeper left that was killed."""
    from harness.operate.bring_up import take_down
    from harness.operate.kept import Kept

    kept = Kept(lab, pair) if lab is not None and pair is not None else Kept.find(lab, pair)
    typer.echo(prefix(mark_of(kept.lab)) + take_down(kept))


@app.command(
    "status",
    epilog=examples(
        "skunk status",
        "skunk status --watch",
        "skunk status --json | jq '.nodes[] | select(.answers | not) | .name'",
    ),
)
def status(
    lab: UpLab = None,
    pair: UpPair = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 2.0,
    as_json: Json = False,
) -> None:
    """Show both nodes: power, role, replication, dirty bytes, pools, private link, CARP.

    Both are asked at once, and a node that does not answer within seconds is shown as silent.
    """
    from harness.operate.kept import Kept
    from harness.operate.views import PairView

    kept = Kept.find(lab, pair)

    def look() -> PairView:
        return PairView.read(kept.ask("status"))

    if as_json:
        typer.echo(look().as_json())
        return
    from harness.operate import show
    from harness.record.terminal import console_for

    if watch:
        with contextlib.suppress(KeyboardInterrupt):
            show.watch(look, every)
    else:
        view = look()
        console_for(view.mark).print(show.table(view))


@app.command(
    "ssh",
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True},
    epilog=examples(
        "skunk ssh skunk1",
        "skunk ssh skunk2 hastctl list",
        "skunk ssh --pair second skunk1 'zpool status; df'",
    ),
)
def ssh(
    node: NodeArgument,
    command: Annotated[list[str] | None, typer.Argument(help="A command to run there.")] = None,
    lab: UpLab = None,
    pair: UpPair = None,
) -> None:
    """Log in to a node as root, or run one command there; its exit status is this one's.

    It is ssh(1), with the pair's own key and both host keys pinned. Options go before the node.
    255 means that ssh itself failed.
    """
    from harness.operate.kept import Kept
    from harness.operate.reach import reached, ssh_command

    kept = Kept.find(lab, pair)
    words = ssh_command(kept, reached(kept, node), command or [])
    program = shutil.which(words[0])
    if program is None:
        raise MissingTool(
            "there is no ssh on this host",
            advice="install OpenSSH's client: `apt-get install openssh-client`, `dnf install "
            "openssh-clients`",
        )
    sys.stdout.flush()
    os.execv(program, words)  # noqa: S606 - ssh takes this process's place, and its terminal


@app.command(
    "console",
    epilog=examples(
        "skunk console skunk1 -n 20",
        "skunk console skunk2 -f",
    ),
)
def console(
    node: NodeArgument,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what it says, until Ctrl-C.")
    ] = False,
    lines: Annotated[
        int | None, typer.Option("--lines", "-n", min=0, help="Only the last lines.")
    ] = None,
    lab: UpLab = None,
    pair: UpPair = None,
) -> None:
    """Show what a node has said on its serial console. Works on a dead node too."""
    from harness.operate.kept import Kept
    from harness.operate.reach import (
        follow_console,
        serial_console,
        show_console,
    )

    kept = Kept.find(lab, pair)
    file = serial_console(kept, node)
    if follow:
        with contextlib.suppress(KeyboardInterrupt):
            follow_console(file, kept, sys.stdout, lines)
    else:
        show_console(file, sys.stdout, lines)


@app.command(
    "cut",
    cls=CutCommand,
    epilog=examples(
        "skunk cut link",
        "skunk cut power skunk1",
        "skunk cut hastd skunk2",
    ),
)
def cut(
    context: typer.Context,
    what: Annotated[str, typer.Argument(help="What to break.", show_default=False)],
    node: Annotated[Node | None, typer.Argument(help="Where.")] = None,
    lab: UpLab = None,
    pair: UpPair = None,
) -> None:
    """Break something of a pair that is up. `skunk heal` undoes all of it."""
    from harness.operate.kept import Kept

    if node is None and not cuttable()[what].both_ends:
        raise typer.BadParameter(f"name the node: `skunk cut {what} skunk1`", ctx=context)
    kept = Kept.find(lab, pair)
    kept.ask("cut", what=what, node=node)
    typer.echo(f"{prefix(kept.about().mark)}cut: {what} of {node or 'skunk1 and skunk2'}")


@app.command(
    "heal",
    epilog=examples(
        "skunk heal",
    ),
)
def heal(lab: UpLab = None, pair: UpPair = None) -> None:
    """Undo every cut: power on, resume, plug in, and wait until both nodes answer.

    Roles do not come back by themselves: a node that has booted has none, and you decide
    (`skunk ssh skunk2 hastctl role secondary mirror`).
    """
    from harness.operate.kept import HEAL_SECONDS, Kept
    from harness.operate.views import PairView

    kept = Kept.find(lab, pair)
    kept.ask("heal", within=HEAL_SECONDS)
    from harness.operate import show
    from harness.record.terminal import console_for

    view = PairView.read(kept.ask("status"))
    console_for(view.mark).print(show.table(view))
    roles = [resource.role for node in view.nodes for resource in node.resources]
    if "init" in roles:
        typer.echo(
            f"{prefix(view.mark)}all is healed; a node without a role needs one: "
            "`skunk ssh NODE hastctl role primary|secondary RESOURCE`"
        )
