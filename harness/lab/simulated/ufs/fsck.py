"""fsck(8) and fsck_ffs(8) of FreeBSD 13.2."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from harness.lab.simulated.engine.signal import NotModelled, Program, Signal
from harness.lab.simulated.hardware.disk import BLOCK, Bio, BlockDevice, Content, Op
from harness.lab.simulated.hardware.requests import LARGEST, Requests, write_bios
from harness.lab.simulated.shell.options import BadOption, Options
from harness.lab.simulated.shell.programs import Context, command
from harness.lab.simulated.ufs.format import (
    SUPERBLOCK,
    Superblock,
    file_fragments,
    inode_place,
)
from harness.lab.simulated.ufs.ufs import Walk

_MIB = 1 << 20
_INODE = 256
_INODES_AT_ONCE = 65536
"""Bytes (INOBUFSIZE of sbin/fsck_ffs/fsck.h)."""
_NAME = 24
"""Bytes in a directory for a name of some ten characters."""
_BLOCK = 32768
_PHASES = (
    "** Phase 2 - Check Pathnames",
    "** Phase 3 - Check Connectivity",
    "** Phase 4 - Check Reference Counts",
    "** Phase 5 - Check Cyl groups",
)


@command("fsck", "fsck_ffs", "fsck_ufs")
def fsck(context: Context, arguments: list[str]) -> int | Program:
    """Check a UFS: with its journal, or all of it."""
    try:
        options = Options(arguments, "pynf", "t")
    except BadOption as bad:
        raise NotModelled(f"fsck -{bad.letter}") from None
    if len(options.rest) != 1 or options.value("t", "ufs") not in {"ufs", "ffs"}:
        raise NotModelled("fsck without one device, or of another file system than UFS")
    return _fsck(context, options)


def _fsck(context: Context, options: Options) -> Program:
    name = options.rest[0].removeprefix("/dev/")
    device = context.guest.devices.get(name)
    if device is None:
        raise NotModelled(f"fsck of {options.rest[0]}")
    preen = "p" in options
    walk = Walk(context.guest, device)
    yield walk.finished
    if walk.superblock is None:
        context.print("Cannot find file system superblock")
        if not preen:
            context.print("Cannot find file system superblock")
        return 3 if preen and "t" in options else 8
    check = _Check(context, device, walk, walk.superblock, options)
    return (yield from check.run())


class _Check:
    """One run of fsck_ffs on a device."""

    def __init__(
        self,
        context: Context,
        device: BlockDevice,
        walk: Walk,
        superblock: Superblock,
        options: Options,
    ) -> None:
        self.context = context
        self.device = device
        self.walk = walk
        self.superblock = superblock
        self.preen = "p" in options
        self.force = "f" in options
        self.read_only = "n" in options or bool(device.opened)
        if not self.preen and not self.read_only and "y" not in options:
            raise NotModelled("fsck that asks: give it -y, -n or -p")
        self.prefix = f"/dev/{device.name}: " if self.preen else ""
        self.consistent = not walk.missing and not walk.unreferenced

    def run(self) -> Program:
        """Check it; returns the exit status."""
        shown = f"/dev/{self.device.name}"
        if self.preen and self.read_only:
            self.context.print(
                f"{shown}: NO WRITE ACCESS\n{shown}: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY."
            )
            return 8
        if self.preen and self.superblock.clean and not self.force:
            self.context.print(
                f"{shown}: FILE SYSTEM CLEAN; SKIPPING CHECKS\n{shown}: clean, {self._free()}"
            )
            return 0
        if not self.preen:
            self.context.print(f"** {shown}" + (" (NO WRITE)" if self.read_only else ""))
        if self.superblock.journal and not self.force and (yield from self._journal()):
            return 0
        return (yield from self._all())

    # --- the journal ----------------------------------------------------------------------------

    def _journal(self) -> Program:
        """Recover with the journal; 1 when that was all, 0 when a full check has to follow."""
        say = self.context.print
        say(f"** SU+J Recovering /dev/{self.device.name}")
        if self.superblock.replayed:
            say("Journal timestamp does not match fs mount time")
            say("** Skipping journal, falling through to full fsck\n")
            return 0
        if self.read_only:
            say("\nUSE JOURNAL? no\n\n** Skipping journal, falling through to full fsck\n")
            return 0
        if not self.preen:
            say("\nUSE JOURNAL? yes\n")
        say(f"** Reading {self.superblock.journal_bytes} byte journal from inode 4.")
        yield from self._read(self.superblock.journal_bytes)
        if not self.preen:
            say("\nRECOVER? yes\n")
        say(
            "** Building recovery table.\n** Resolving unreferenced inode list.\n"
            "** Processing journal entries."
        )
        used = len(self.walk.inodes) > 3 or bool(self.walk.unreferenced)
        if not self.preen:
            say("\nWRITE CHANGES? yes\n" if used else "")
            say(
                "\n***** FILE SYSTEM IS CLEAN *****" if used else "***** FILE SYSTEM IS CLEAN *****"
            )
        if used:
            self._say_freed()
        say("\n***** FILE SYSTEM MARKED CLEAN *****")
        yield from self._repair(replayed=True)
        return 1

    def _say_freed(self) -> None:
        lost = self.walk.unreferenced
        records = 7 * len(self.walk.inodes) + 20 * len(lost)
        size = max(1, -(-records * 32 // 445)) * 512
        folders = sum(inode.kind == "dir" for inode in lost)
        fragments = sum(file_fragments(inode.size) for inode in lost)
        self.context.print(
            f"** {records} journal records in {size} bytes for "
            f"{records * 3200 / size:.2f}% utilization\n"
            f"** Freed {len(lost)} inodes ({folders} dirs) {fragments // 8} blocks, and "
            f"{fragments % 8} frags."
        )

    # --- the whole ------------------------------------------------------------------------------

    def _all(self) -> Program:
        """Check everything, which takes the longer the more files there are."""
        say = self.context.print
        if not self.preen:
            say(
                f"** Last Mounted on {self.superblock.mounted_on}\n"
                "** Phase 1 - Check Blocks and Sizes"
            )
        inodes = [*self.walk.inodes.values(), *self.walk.unreferenced]
        yield from self._read(len(inodes) * _INODE, _INODES_AT_ONCE)
        names = sum(-(-len(inode.names) * _NAME // _BLOCK) for inode in inodes)
        groups = self.superblock.geometry.groups
        yield from self._read((names + groups) * _BLOCK, _BLOCK)
        for number, phase in enumerate(_PHASES):
            if not self.preen:
                say(phase)
            if number == 0:
                self._say_missing()
            if number == 2:
                self._say_unreferenced()
        if not self.consistent:
            for text in (
                "FREE BLK COUNT(S) WRONG IN SUPERBLK",
                "SUMMARY INFORMATION BAD",
                "BLK(S) MISSING IN BIT MAPS",
            ):
                self._say_problem(text, "SALVAGE", "SALVAGED")
        used = self.superblock.geometry.data_fragments - self._free_fragments()
        say(f"{self.prefix}{len(self.walk.inodes)} files, {used} used, {self._free()}")
        if self.read_only:
            return 0
        was_clean = self.superblock.clean and self.consistent and not self.force
        if not self.preen:
            say(f"\n***** FILE SYSTEM {'IS' if was_clean else 'MARKED'} CLEAN *****")
            if not self.consistent:
                say("\n***** FILE SYSTEM WAS MODIFIED *****")
        yield from self._repair(replayed=self.superblock.replayed)
        return 0

    def _say_missing(self) -> None:
        for path in self.walk.missing:
            self.context.print(
                f"{self.prefix}UNALLOCATED  I=0  OWNER=root MODE=0\n{self.prefix}NAME={path}"
            )
            self._answer("REMOVE", "REMOVED")

    def _say_unreferenced(self) -> None:
        for inode in self.walk.unreferenced:
            kind = "DIR " if inode.kind == "dir" else "FILE"
            mode = {"dir": 0o40000, "link": 0o120000}.get(inode.kind, 0o100000) | inode.mode
            when = datetime.fromtimestamp(inode.mtime, UTC)
            gap = "" if self.preen else " "
            self.context.print(
                f"{self.prefix}UNREF {kind.strip()}{gap} I={inode.number}  OWNER=root "
                f"MODE={mode:o}\n{self.prefix}SIZE={inode.size} MTIME={when:%b %e %H:%M %Y} "
            )
            self._answer("CLEAR", "CLEARED")

    def _answer(self, question: str, done: str) -> None:
        if self.preen:
            self.context.print(f" ({done})")
        else:
            self.context.print(f"\n{question}? {'no' if self.read_only else 'yes'}\n")

    def _say_problem(self, text: str, question: str, done: str) -> None:
        if self.preen:
            self.context.print(f"{self.prefix}{text} ({done})")
        else:
            self.context.print(f"{text}\n{question}? {'no' if self.read_only else 'yes'}\n")

    # --- sizes ----------------------------------------------------------------------------------

    def _free_fragments(self) -> int:
        used = 0
        for path, inode in self.walk.inodes.items():
            size = inode.size
            used += 1 if inode.kind == "dir" and path else file_fragments(size)
        if self.superblock.journal and len(self.walk.inodes) == 3:
            used += 7
        return self.superblock.geometry.data_fragments - used

    def _free(self) -> str:
        """As fsck prints what is free."""
        free = self._free_fragments()
        total = self.superblock.geometry.data_fragments
        loose = free % 8 + (16 if free % 8 < 6 else 8) if free > 24 else free
        return (
            f"{free} free ({loose} frags, {(free - loose) // 8} blocks, "
            f"{loose * 100 / total:.1f}% fragmentation)"
        )

    # --- the device -----------------------------------------------------------------------------

    def _read(self, size: int, largest: int = LARGEST * BLOCK) -> Program:
        """Read so many bytes in requests of `largest`, one after the other."""
        for offset in range(0, size, largest):
            ended = Signal()
            at = offset % max(largest, self.device.mediasize // _MIB * _MIB)
            length = min(largest, -(-(size - offset) // BLOCK) * BLOCK)
            Requests([Bio(Op.READ, at, length)], ended.fire).start(self.device)
            yield ended
        return 0

    def _repair(self, *, replayed: bool) -> Program:
        """Write what the check changed."""
        places: dict[int, Content | None] = {}
        for inode in self.walk.unreferenced:
            places[inode_place(inode.number)] = None
        for path in self.walk.missing:
            parent, _, name = path.rpartition("/")
            directory = self.walk.inodes.get(parent or "/")
            if directory is not None:
                names = {key: value for key, value in directory.names.items() if key != name}
                directory = replace(directory, names=names)
                self.walk.inodes[parent or "/"] = directory
                places[inode_place(directory.number)] = Content("UFS inode", value=directory)
        fixed = replace(self.superblock, clean=True, replayed=replayed)
        places[SUPERBLOCK] = Content("UFS superblock", value=fixed)
        ended = Signal()
        Requests(write_bios(places), ended.fire).start(self.device)
        yield ended
        return 0
