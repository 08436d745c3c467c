"""FreeBSD's own VM image, downloaded: what `make image` does.

So the nodes run what the project publishes.

The layout of the download site, and `CHECKSUM.SHA512` beside the images, are those of
release/Makefile.vm (target vm-install) in FreeBSD's source.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import lzma
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import filelock
import requests
from requests.adapters import HTTPAdapter
from rich import progress
from rich.console import Console
from rich.filesize import decimal
from urllib3.util import Retry

from harness import __version__
from harness.config import paths
from harness.config.settings import ImageSettings
from harness.errors import ImageError, MissingTool
from harness.lab.images.image import OFFICIAL, by_age, inspect, there

ARCHIVE = "https://archive.freebsd.org/old-releases/VM-IMAGES"
"""Releases that have left the official site, in the same layout."""

SNAPSHOTS = "https://download.freebsd.org/snapshots/VM-IMAGES"
"""Images of the branches, as 16.0-CURRENT/amd64/Latest/..., replaced every week."""

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0
"""Seconds: to be connected to, and between two packets of an answer."""

CHUNK = 64 * 1024
"""Bytes read at once, and so the most that a broken connection costs."""

GROWTH = 5
"""How much larger than the download the image is, for the check of free space: 15.0's, 625 MiB
packed, is 2.5 GiB. Rounded up, because the nodes' overlays need some space as well."""

FRUITLESS = 3
"""Connections in a row that may break without having brought a byte more."""


_LISTED = re.compile(r"^SHA512 \((?P<name>[^()/]+)\) = (?P<sum>[0-9a-fA-F]{128})\s*$", re.MULTILINE)
_SNAPSHOT_BUILD = r"(?:-\d{8}-[0-9a-f]+-\d+)?"
_INDEXED = re.compile(r'href="(?:[^"]*/)?(\d+\.\d+-(?:RELEASE|STABLE|CURRENT))/?"')


# --- The download -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Published:
    """An image that FreeBSD offers: its address, its file's name, and the SHA-512 of the file."""

    url: str
    name: str
    sha512: str


def published(
    image: ImageSettings,
    *,
    base_url: str = OFFICIAL,
    archive_url: str | None = ARCHIVE,
    snapshots_url: str = SNAPSHOTS,
    session: requests.Session | None = None,
) -> Published:
    """What `download` would fetch: a few kilobytes tell. Raises `ImageError` as `download` does."""
    job = _Download(image, paths.images_dir(), session or new_session(), Console(stderr=True))
    sites = _sites(image, base_url, archive_url, snapshots_url)
    return (job.newest(sites) if image.is_branch else job).published(sites)


def _sites(
    image: ImageSettings, base_url: str, archive_url: str | None, snapshots_url: str
) -> list[str]:
    snapshots = image.is_snapshot or image.release == "CURRENT"
    sites = [snapshots_url] if snapshots else [base_url, archive_url]
    return [site.rstrip("/") for site in sites if site]


def download(
    image: ImageSettings,
    folder: Path | None = None,
    *,
    base_url: str = OFFICIAL,
    archive_url: str | None = ARCHIVE,
    snapshots_url: str = SNAPSHOTS,
    console: Console | None = None,
    session: requests.Session | None = None,
) -> Path:
    """Fetch FreeBSD's own VM image (UFS, qcow2) into `folder` (None: the user's cache), unpacked.

    An image that is already there and undamaged is returned without asking the network. A part left
    by an earlier attempt is continued; its SHA-512 is compared with the published one
    before it is unpacked; the image appears under its name only when it is whole. A release that
    `base_url` does not have is looked for under `archive_url`. For a snapshot (16.0-CURRENT) the
    network is always asked, and the image fetched anew when another has been published. Of a branch
    (14) it is the newest release that the sites have, which is said before anything is fetched;
    with no answer from them, the newest one that is there serves. Progress goes to
    `console` (None: standard error): a bar on a terminal, elsewhere a line every tenth of the way.

    Raises `ImageError` for everything that can go wrong on the way: no network, a proxy,
    no such release, a wrong checksum, no space, another download of the same image under way.
    Ctrl-C leaves the part for the next attempt.
    """
    job = _Download(
        image,
        folder or paths.images_dir(),
        session or new_session(),
        console or Console(stderr=True),
    )
    sites = _sites(image, base_url, archive_url, snapshots_url)
    try:
        if image.is_branch:
            job = job.newest(sites)
        return job.run(sites)
    except filelock.Timeout:
        raise ImageError(
            f"another process is downloading {job.image.file_name}",
            advice=f"let it end, then run `make image` again; it holds {job.lock}",
        ) from None
    except OSError as error:
        raise ImageError(
            f"{error.filename or job.folder} cannot be written: {error.strerror or error}",
            advice="make room or give your user the right to write there, or put the cache "
            "somewhere else with SKUNK_CACHE_DIR; what was fetched is kept",
        ) from None


def new_session(backoff: float = 0.5) -> requests.Session:
    """A session that repeats a failed GET, waiting `backoff` times 2, 4... seconds in between.

    It takes the proxy from the environment (https_proxy, no_proxy). A server's wish to be asked
    again only in an hour is not honoured: that is for the person to decide.
    """
    retry = Retry(
        total=3,
        read=1,
        backoff_factor=backoff,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods={"GET"},
        respect_retry_after_header=False,
        raise_on_status=False,
    )
    session = requests.Session()
    session.headers["User-Agent"] = f"hast-lab/{__version__}"
    session.mount("https://", HTTPAdapter(max_retries=retry))
    session.mount("http://", HTTPAdapter(max_retries=retry))
    return session


class _NotFound(ImageError):
    """The server answers, and does not have it."""


class _Broken(Exception):
    """The connection broke in the middle of the file."""


@dataclass(frozen=True)
class _Download:
    image: ImageSettings
    folder: Path
    session: requests.Session
    console: Console

    @property
    def target(self) -> Path:
        return self.folder / self.image.file_name

    @property
    def lock(self) -> Path:
        return self.folder / f".{self.image.file_name}.lock"

    @property
    def _sha512_of_snapshot(self) -> Path:
        """Beside the image of a branch: the SHA-512 of what it was unpacked from."""
        return self.target.with_name(f"{self.target.name}.sha512")

    def run(self, sites: list[str]) -> Path:
        if not self.image.is_snapshot and self._is_there():
            return self.target
        self.folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(self.lock, timeout=0):
            if not self.image.is_snapshot and self._is_there():
                return self.target
            published = self.published(sites)
            if self._is_same_snapshot(published) and self._is_there():
                return self.target
            part = self.folder / f"{published.name}.part"
            self._say(f"from {published.url}\nto {self.target}")
            try:
                self._fetch(published.url, part)
                self._verify(published, part)
                self._unpack(part)
            except (ImageError, KeyboardInterrupt):
                if kept := _size(part):
                    self._say(f"stopped; {decimal(kept)} are kept, and `make image` goes on there")
                raise
            if self.image.is_snapshot:
                self._sha512_of_snapshot.write_text(published.sha512)
        return self.target

    def _is_same_snapshot(self, published: Published) -> bool:
        kept = self._sha512_of_snapshot
        return self.image.is_snapshot and kept.exists() and kept.read_text() == published.sha512

    def _is_there(self) -> bool:
        if not self.target.exists():
            return False
        try:
            inspect(self.target)
        except MissingTool:
            return True  # it got its name when it was whole; a lab will name the missing tool
        except ImageError as error:
            self._say(f"{error.what}: downloading it again")
            return False
        return True

    # What is published

    def newest(self, sites: list[str]) -> _Download:
        """The same for the newest release of the branch that a site offers an image of.

        A release has a folder on the site before its images are there. The first site that has one
        decides: a branch that has left the first is in the archive.
        """
        for site in sites:
            try:
                offered = self._releases(site)
            except ImageError as error:
                return self._newest_there(error)
            for release in reversed(offered):
                if not self.image.names(release):
                    continue
                exact = self.image.model_copy(update={"release": release})
                job = replace(self, image=exact)
                try:
                    job.published([site])
                except _NotFound:
                    continue
                self._say(f"FreeBSD {self.image.release} is {release} today ({site}/)")
                return job
        raise self._no_such_release(sites)

    def _newest_there(self, error: ImageError) -> _Download:
        """The same for the newest release of the branch that is here, when nobody answers."""
        here = there(self.folder, self.image.architecture)
        releases = [release for release in here if self.image.names(release)]
        if not releases:
            raise error
        self._say(f"{error.what}; taking {releases[-1]}, which is here")
        return replace(self, image=self.image.model_copy(update={"release": releases[-1]}))

    def published(self, sites: list[str]) -> Published:
        """The image's address and checksum, from the first site that has the release."""
        for nth, site in enumerate(sites):
            where = f"{site}/{self.image.full_release}/{self.image.architecture}/Latest"
            try:
                answer = self._get(f"{where}/CHECKSUM.SHA512")
            except _NotFound:
                continue
            except ImageError as error:
                if nth == 0:
                    raise
                gone = f"FreeBSD {self.image.full_release} is not on {sites[0]} (any more), and "
                raise ImageError(gone + error.what, advice=error.advice) from None
            return self._choose(where, answer.text)
        raise self._no_such_release(sites)

    def _no_such_release(self, sites: list[str]) -> _NotFound:
        offered: set[str] = set()
        for site in sites:
            with contextlib.suppress(ImageError):
                offered.update(self._releases(site))
        names = [release.removesuffix("-RELEASE") for release in sorted(offered, key=by_age)]
        return _NotFound(
            f"there is no FreeBSD {self.image.full_release} for {self.image.architecture} on "
            + " or ".join(sites),
            advice="choose a release with `image: release:` in lab.yaml"
            + (f", of these: {', '.join(names)}" if names else f"; {sites[0]}/ lists them"),
        )

    def _choose(self, where: str, listing: str) -> Published:
        """The plain UFS image out of the published list.

        On download.freebsd.org it was NAME.qcow2.xz up to 14.1 (with a NAME-zfs one beside it from
        14.0 on), and is NAME-ufs.qcow2.xz now. The list decides, not the release. BASIC-CI and
        BASIC-CLOUDINIT are other flavours, and have names of their own. An image of a branch may
        have its date, commit and count in the middle: -20251022-2427ae41b7cf-280773.
        """
        sums = {found["name"]: found["sum"].lower() for found in _LISTED.finditer(listing)}
        if not sums:
            raise ImageError(
                f"{where}/CHECKSUM.SHA512 is not a list of checksums; it begins: {listing[:80]!r}",
                advice="a network that wants a login, or a proxy, may have answered instead of "
                "FreeBSD: open the address in a browser. " + self._by_hand(f"{where}/"),
            )
        # Files carry MACHINE-MACHINE_ARCH where the two differ (arm64-aarch64); folders do not.
        machine = {"aarch64": "arm64-aarch64"}.get(self.image.architecture, self.image.architecture)
        stem = f"FreeBSD-{self.image.full_release}-{machine}"
        for kind in ("-ufs", ""):
            wanted = re.compile(re.escape(stem) + _SNAPSHOT_BUILD + kind + r"\.qcow2\.xz")
            if name := next(filter(wanted.fullmatch, sums), None):
                return Published(f"{where}/{name}", name, sums[name])
        raise ImageError(
            f"{where}/ has no {stem}.qcow2.xz and no {stem}-ufs.qcow2.xz, only "
            + ", ".join(sorted(sums)),
            advice="choose another release, or fetch one of these by hand, make a qcow2 of it with "
            "qemu-img convert, and give it with IMAGE=path",
        )

    def _releases(self, site: str) -> list[str]:
        """What the site's index offers, the oldest first."""
        return sorted(set(_INDEXED.findall(self._get(f"{site}/").text)), key=by_age)

    # The file

    def _fetch(self, url: str, part: Path) -> None:
        """Bring `part` to its full length, over as many connections as that takes."""
        best, fruitless = _size(part), 0
        while True:
            try:
                self._fetch_rest(url, part)
                return
            except _Broken as broken:
                fruitless = 0 if _size(part) > best else fruitless + 1
                best = max(best, _size(part))
                if fruitless == FRUITLESS:
                    raise ImageError(
                        f"the connection to {url} broke {FRUITLESS} times at {decimal(best)}: "
                        f"{broken}",
                        advice="run `make image` again later, it goes on there. "
                        + self._by_hand(url),
                    ) from None
                self._say(f"the connection broke at {decimal(_size(part))} ({broken}); going on")

    def _fetch_rest(self, url: str, part: Path) -> None:
        # The file's identity on the server: If-Range makes it start over when that has changed.
        identity = _beside(part)
        have = _size(part)
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if identity.exists():
                headers["If-Range"] = identity.read_text(encoding="latin-1")
        with self._get(url, headers) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                return  # nothing is missing; whether it is the right thing, the checksum tells
            if answer.status_code != requests.codes.partial_content:
                have = 0
            length = answer.headers.get("Content-Length")
            total = have + int(length) if length else None
            self._check_space(have, total)
            mode = "ab" if have else "wb"
            with part.open(mode) as file, self._progress("downloading", have, total) as moved:
                identity.write_text(_identity(answer), encoding="latin-1")
                if not identity.stat().st_size:
                    identity.unlink()
                try:
                    for chunk in answer.iter_content(CHUNK):
                        file.write(chunk)
                        have += len(chunk)
                        moved(have)
                except requests.RequestException as error:
                    raise _Broken(reason(error)) from None
            if total is not None and have < total:
                raise _Broken("it ended early")

    def _check_space(self, have: int, total: int | None) -> None:
        if total is None:
            return
        needed = total - have + GROWTH * total
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise ImageError(
                f"{self.folder} has {decimal(free)} free, and about {decimal(needed)} are needed: "
                f"{decimal(total - have)} to download, {decimal(GROWTH * total)} unpacked",
                advice="make room, or put the cache somewhere else with SKUNK_CACHE_DIR",
            )

    def _verify(self, published: Published, part: Path) -> None:
        with part.open("rb") as file:
            found = hashlib.file_digest(file, "sha512").hexdigest()
        if found == published.sha512:
            return
        size = _size(part)
        part.unlink()
        _beside(part).unlink(missing_ok=True)
        raise ImageError(
            f"what came from {published.url} ({decimal(size)}) is not what FreeBSD published, and "
            f"was removed. Its SHA-512 is\n    {found}\n  and CHECKSUM.SHA512 beside it says\n"
            f"    {published.sha512}",
            advice="run `make image` again; if it happens again, something between here and "
            "FreeBSD (a proxy, a mirror) alters files: use another network",
        )

    def _unpack(self, part: Path) -> None:
        unpacking = self.target.with_name(f"{self.target.name}.unpacking")
        try:
            with (
                part.open("rb") as raw,
                lzma.open(raw) as packed,
                unpacking.open("wb") as file,
                self._progress("unpacking", 0, _size(part)) as moved,
            ):
                while chunk := packed.read(CHUNK):
                    file.write(chunk)
                    moved(raw.tell())
                file.flush()
                os.fsync(file.fileno())  # a name that outlives a crash must not outlive its content
        except (lzma.LZMAError, EOFError) as error:
            raise ImageError(
                f"{part} has the published checksum and is no xz file: {error}",
                advice="choose another release, or give an image of your own with IMAGE=path",
            ) from None
        else:
            unpacking.replace(self.target)
        finally:
            unpacking.unlink(missing_ok=True)
        part.unlink()
        _beside(part).unlink(missing_ok=True)

    # The network

    def _get(self, url: str, headers: dict[str, str] | None = None) -> requests.Response:
        """The answer (200, 206 or 416), its body not read yet; anything else is an error."""
        try:
            answer = self.session.get(
                url, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT)
            )
            if headers is None:
                answer.content  # noqa: B018  a page, to be read while errors are looked for
        except requests.RequestException as error:
            raise ImageError(
                f"{url} cannot be fetched: {reason(error)}", advice=self._by_hand(url)
            ) from None
        status = f"{answer.status_code} {answer.reason}"
        if answer.ok or (headers and answer.status_code == 416):
            return answer
        answer.close()
        if answer.status_code in (404, 410):
            raise _NotFound(f"{url} is not there ({status})", advice=self._by_hand(url))
        if answer.status_code == 407:
            raise ImageError(
                f"the proxy {_proxy(url)} wants a login for {url} ({status})",
                advice="put it into https_proxy: http://USER:PASSWORD@HOST:PORT. "
                + self._by_hand(url),
            )
        if answer.status_code >= 500 or answer.status_code == 429:
            raise ImageError(
                f"the server of {url} is in trouble ({status})",
                advice="run `make image` again later. " + self._by_hand(url),
            )
        raise ImageError(f"{url} is refused ({status})", advice=self._by_hand(url))

    def _by_hand(self, url: str) -> str:
        return (
            "If this network needs a proxy, set https_proxy. Or fetch it on another machine "
            f"({url.removesuffix('CHECKSUM.SHA512')}, the UFS .qcow2.xz), compare its SHA-512, "
            f"unxz it, and give it with IMAGE=path or put it "
            + (f"into {self.folder}" if self.image.is_branch else f"at {self.target}")
        )

    # What the person sees

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def _progress(
        self, label: str, done: int, total: int | None
    ) -> Iterator[Callable[[int], None]]:
        """Show how far a file is; what it yields takes the bytes done so far."""
        bar = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_interactive,
        )
        bar.add_task(label, total=total, completed=done)
        (task,) = bar.tasks
        step = (total or GROWTH * 10**9) / 10
        next_line = done + step

        def moved(position: int) -> None:
            nonlocal next_line
            bar.update(task.id, completed=position)
            if bar.disable and (position >= next_line or position == total):
                next_line = position + step
                self._say(_line(task))

        with contextlib.nullcontext() if bar.disable else bar:
            yield moved


def _line(task: progress.Task) -> str:
    """A task in one plain line: how far, how fast, how long still."""
    words = f"{task.description}: {decimal(int(task.completed))}"
    if task.total:
        words += f" of {decimal(int(task.total))} ({task.percentage:.0f} %)"
    if task.speed:
        words += f", {decimal(int(task.speed))}/s"
    if task.time_remaining:
        words += f", {timedelta(seconds=int(task.time_remaining))} left"
    return words


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _beside(part: Path) -> Path:
    return part.with_name(f"{part.name}.identity")


def _identity(answer: requests.Response) -> str:
    """What RFC 9110 (13.1.5) lets If-Range name: a strong ETag, else the date; "" without them."""
    etag = answer.headers.get("ETag", "")
    return etag if etag.startswith('"') else answer.headers.get("Last-Modified", "")


def _proxy(url: str) -> str:
    found = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    return re.sub(r"//[^/@]*@", "//", found) if found else "of this network"


def reason(error: requests.RequestException) -> str:
    """Why nothing came, in the words of the operating system and not of the library."""
    root: BaseException = error
    while inner := root.__cause__ or root.__context__:
        root = inner
    url = error.request.url if error.request is not None and error.request.url else ""
    what = _plain(root)
    if isinstance(error, requests.exceptions.ProxyError):
        return f"the proxy {_proxy(url)} does not take the connection: {what}"
    if isinstance(error, requests.exceptions.SSLError):
        return (
            f"its certificate is not accepted: {what} (a wrong clock, or a proxy that opens TLS: "
            "name its CA in REQUESTS_CA_BUNDLE)"
        )
    if isinstance(root, socket.gaierror):
        return f"its name cannot be resolved ({what}): no network here, or no DNS"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"no connection within {CONNECT_TIMEOUT:.0f} s: no network here, or a firewall"
    return what


def _plain(root: BaseException) -> str:
    if isinstance(root, http.client.IncompleteRead):
        return "it ended early"
    if isinstance(root, TimeoutError) and not root.strerror:
        return f"no answer for {READ_TIMEOUT:.0f} s"
    return (root.strerror if isinstance(root, OSError) else None) or str(root)
