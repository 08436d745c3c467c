"""The image: downloading it from a server that misbehaves, finding it, looking into it.

The server is on loopback and plays download.freebsd.org and its archive; files are a few kilobytes.
"""

import hashlib
import io
import lzma
import random
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import filelock
import pytest
from rich.console import Console

from harness.config.settings import ImageSettings
from harness.errors import ImageError
from harness.lab.images import download as downloads
from harness.lab.images import image
from harness.waiting.wait import wait_until
from tests import needs

IMAGE = ImageSettings(release="13.2")
NAME = "FreeBSD-13.2-RELEASE-amd64.qcow2"
LATEST = "13.2-RELEASE/amd64/Latest"
CHUNK = 4096
CONTENT = random.Random(2).randbytes(20 * CHUNK)  # does not compress: as long packed as unpacked
PACKED = lzma.compress(CONTENT)

needs_qemu_img = needs.programs("qemu-img")


class Asked(NamedTuple):
    path: str
    range: str | None


class Site(ThreadingHTTPServer):
    """A mirror that knows Range and If-Range, and can be told to fail."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.files: dict[str, bytes] = {}
        self.asked: list[Asked] = []
        self.sent = 0
        self.cuts: list[int] = []  # after how many bytes to break the next answers
        self.at_cut: Callable[[], object] = lambda: None
        self.status: int | None = None
        self.ranges = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def ranges_asked(self) -> list[str | None]:
        return [asked.range for asked in self.asked if asked.path.endswith(".xz")]

    def publish(
        self,
        name: str = f"{NAME}.xz",
        packed: bytes = PACKED,
        *,
        under: str = f"/releases/{LATEST}",
    ) -> None:
        sums = f"SHA512 ({name}) = {hashlib.sha512(packed).hexdigest()}\n"
        self.files[f"{under}/{name}"] = packed
        listed = self.files.get(f"{under}/CHECKSUM.SHA512", b"")
        self.files[f"{under}/CHECKSUM.SHA512"] = listed + sums.encode()


class _Answer(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        site, wanted = self.server, self.headers.get("Range")
        site.asked.append(Asked(self.path, wanted))
        body = site.files.get(self.path)
        if site.status or body is None:
            self.send_error(site.status or 404)
            return
        etag = f'"{hashlib.md5(body).hexdigest()}"'
        start = 0
        if wanted and site.ranges and self.headers.get("If-Range", etag) == etag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206 if start < len(body) else 416)
            body = body[start:]
        else:
            self.send_response(200)
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if site.cuts and self.path.endswith(".xz"):
            body = body[: site.cuts.pop(0)]
            self.wfile.write(body)
            site.at_cut()
        else:
            self.wfile.write(body)
        if self.path.endswith(".xz"):
            site.sent += len(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _small_chunks_and_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "CHUNK", CHUNK)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def shown() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def fetch(site: Site, tmp_path: Path, shown: io.StringIO) -> Callable[..., Path]:
    def download(
        wanted: ImageSettings = IMAGE, base: str | None = None, archive: str | None = None
    ) -> Path:
        return downloads.download(
            wanted,
            tmp_path / "images",
            base_url=base or f"{site.url}/releases",
            archive_url=archive or f"{site.url}/archive",
            snapshots_url=f"{site.url}/snapshots",
            console=Console(file=shown, width=200),
            session=downloads.new_session(backoff=0),
        )

    return download


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


# --- What arrives -------------------------------------------------------------------------------


def test_the_image_arrives_unpacked_and_alone(site: Site, fetch: Callable[..., Path]) -> None:
    site.publish()
    path = fetch()
    assert path.name == NAME
    assert path.read_bytes() == CONTENT
    assert left_in(path.parent) == {NAME}


@needs_qemu_img
def test_a_whole_image_is_not_asked_for_again_and_a_damaged_one_is(
    site: Site, fetch: Callable[..., Path], tmp_path: Path, shown: io.StringIO
) -> None:
    site.publish(packed=lzma.compress(qcow2(tmp_path / "disk.qcow2").read_bytes()))
    path = fetch()
    site.asked.clear()
    assert fetch() == path
    assert site.asked == []

    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1024 * 1024)
    assert fetch() == path
    assert path.read_bytes() == (tmp_path / "disk.qcow2").read_bytes()
    assert "is damaged" in shown.getvalue()


def test_away_from_a_terminal_progress_is_plain_lines(
    site: Site, fetch: Callable[..., Path], shown: io.StringIO
) -> None:
    site.publish()
    fetch()
    lines = shown.getvalue().splitlines()
    fetched = [line for line in lines if line.startswith("downloading: ")]
    assert 5 <= len(fetched) <= 10
    assert "(100 %)" in fetched[-1]
    assert "/s" in fetched[-1]
    assert "\x1b" not in shown.getvalue()


# --- Going on -----------------------------------------------------------------------------------


def test_a_broken_connection_is_taken_up_where_it_broke(
    site: Site, fetch: Callable[..., Path]
) -> None:
    site.publish()
    site.cuts = [len(PACKED) // 2]
    assert fetch().read_bytes() == CONTENT
    first, second = site.ranges_asked
    assert first is None
    assert second is not None
    assert site.sent <= len(PACKED) + CHUNK


def test_a_connection_that_falls_silent_is_given_up_for_a_new_one(
    site: Site, fetch: Callable[..., Path], shown: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "READ_TIMEOUT", 0.2)
    arrived = threading.Event()
    site.publish()
    site.cuts, site.at_cut = [len(PACKED) // 2], lambda: arrived.wait(5)
    assert fetch().read_bytes() == CONTENT
    arrived.set()
    assert len(site.ranges_asked) == 2
    assert "no answer for 0 s" in shown.getvalue()


def test_a_server_that_keeps_breaking_is_given_up_and_its_part_kept(
    site: Site, fetch: Callable[..., Path], tmp_path: Path, shown: io.StringIO
) -> None:
    site.publish()
    site.cuts = [3 * CHUNK, 0, 0, 0]
    with pytest.raises(ImageError, match=r"broke 3 times at 12\.3 kB"):
        fetch()
    part = tmp_path / "images" / f"{NAME}.xz.part"
    assert part.read_bytes() == PACKED[: 3 * CHUNK]
    assert "12.3 kB are kept" in shown.getvalue()


@pytest.mark.usefixtures("own_interrupts")
def test_ctrl_c_leaves_a_part_that_the_next_run_takes_up(
    site: Site, fetch: Callable[..., Path], tmp_path: Path
) -> None:
    part = tmp_path / "images" / f"{NAME}.xz.part"
    interrupted = threading.Event()

    def press_ctrl_c() -> None:
        wait_until(
            "bytes in the part", lambda: part.exists() and part.stat().st_size, 5, every=0.01
        )
        ident = threading.main_thread().ident
        assert ident is not None
        signal.pthread_kill(ident, signal.SIGINT)
        interrupted.wait(5)

    site.publish()
    site.cuts, site.at_cut = [len(PACKED) // 2], press_ctrl_c
    with pytest.raises(KeyboardInterrupt):
        fetch()
    interrupted.set()
    kept = part.stat().st_size

    assert fetch().read_bytes() == CONTENT
    assert site.ranges_asked == [None, f"bytes={kept}-"]


def test_a_part_that_is_complete_is_only_checked_and_unpacked(
    site: Site, fetch: Callable[..., Path], tmp_path: Path
) -> None:
    site.publish()
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / f"{NAME}.xz.part").write_bytes(PACKED)
    assert fetch().read_bytes() == CONTENT
    assert site.sent == 0


@pytest.mark.parametrize("ranges", [True, False], ids=["replaced file", "no ranges"])
def test_a_part_that_cannot_be_continued_is_started_over(
    site: Site, fetch: Callable[..., Path], ranges: bool
) -> None:
    site.publish(packed=lzma.compress(random.Random(3).randbytes(len(CONTENT))))
    site.cuts = [3 * CHUNK, 0, 0, 0]
    with pytest.raises(ImageError):
        fetch()
    site.files.clear()
    site.publish()
    site.ranges = ranges
    assert fetch().read_bytes() == CONTENT


def test_two_downloads_of_one_image_do_not_meet(
    site: Site, fetch: Callable[..., Path], tmp_path: Path
) -> None:
    site.publish()
    (tmp_path / "images").mkdir()
    with (
        filelock.FileLock(tmp_path / "images" / f".{NAME}.lock"),
        pytest.raises(ImageError, match="another process is downloading"),
    ):
        fetch()
    assert fetch().is_file()


# --- Going wrong --------------------------------------------------------------------------------


def test_a_wrong_checksum_removes_the_part_and_shows_both_sums(
    site: Site, fetch: Callable[..., Path], tmp_path: Path
) -> None:
    site.publish()
    site.files[f"/releases/{LATEST}/{NAME}.xz"] = b"x" + PACKED
    with pytest.raises(ImageError) as caught:
        fetch()
    for content in (PACKED, b"x" + PACKED):
        assert hashlib.sha512(content).hexdigest() in str(caught.value)
    assert left_in(tmp_path / "images") == set()


def test_a_release_that_left_the_site_comes_from_the_archive(
    site: Site, fetch: Callable[..., Path]
) -> None:
    site.publish(under=f"/archive/{LATEST}")
    assert fetch().read_bytes() == CONTENT


def test_an_unknown_release_is_answered_with_those_on_offer(
    site: Site, fetch: Callable[..., Path]
) -> None:
    site.files["/releases/"] = b'<a href="14.2-RELEASE/">14.2</a> <a href="README">'
    site.files["/archive/"] = b'<a href="/archive/9.3-RELEASE/">9.3</a>'
    with pytest.raises(ImageError, match=r"no FreeBSD 13\.2-RELEASE.*\n.*of these: 9\.3, 14\.2"):
        fetch()


def closed_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_without_a_network_it_says_so_and_what_to_do(
    fetch: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ImageError, match="Connection refused") as refused:
        fetch(base=closed_port())
    for hint in ("https_proxy", "another machine", "IMAGE=path"):
        assert hint in str(refused.value)

    def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(ImageError, match=r"cannot be resolved .*: no network here, or no DNS"):
        fetch(base="http://download.freebsd.org/releases/VM-IMAGES")


def test_a_site_without_the_release_and_no_way_to_the_archive(fetch: Callable[..., Path]) -> None:
    with pytest.raises(ImageError, match=r"is not on http://.*and http://.*Connection refused"):
        fetch(archive=closed_port())


def test_a_dead_proxy_is_named_without_its_password(
    fetch: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = closed_port()
    monkeypatch.setenv("http_proxy", proxy.replace("//", "//user:secret@"))
    with pytest.raises(ImageError, match=f"the proxy {proxy} does not take") as caught:
        fetch(base="http://mirror.invalid")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "says"),
    [(503, r"in trouble \(503"), (407, "wants a login"), (403, r"refused \(403")],
)
def test_other_answers_of_a_server(
    site: Site, fetch: Callable[..., Path], status: int, says: str
) -> None:
    site.status = status
    with pytest.raises(ImageError, match=says):
        fetch()
    assert len(site.asked) == (4 if status == 503 else 1)


def test_a_login_page_is_not_taken_for_the_list(site: Site, fetch: Callable[..., Path]) -> None:
    site.files[f"/releases/{LATEST}/CHECKSUM.SHA512"] = b"<html>Welcome to our guest network"
    with pytest.raises(ImageError, match=r"not a list of checksums.*guest network"):
        fetch()


def test_too_little_space_is_seen_before_the_download(
    site: Site, fetch: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    site.publish()
    room = shutil.disk_usage(tmp_path)._replace(free=3 * len(PACKED))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room)
    with pytest.raises(ImageError, match=r"has 24\d\.\d kB free, and about 49\d\.\d kB are needed"):
        fetch()
    assert left_in(tmp_path / "images") == set()


def test_a_cache_that_cannot_be_written_is_named(
    site: Site, fetch: Callable[..., Path], tmp_path: Path
) -> None:
    site.publish()
    (tmp_path / "images").touch()
    with pytest.raises(ImageError, match=r"images cannot be written(.|\n)*SKUNK_CACHE_DIR"):
        fetch()


# --- Which file ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("release", "listed", "wanted"),
    [
        ("13.2", ["amd64.qcow2.xz", "amd64.raw.xz"], "amd64.qcow2.xz"),
        ("14.0", ["amd64-zfs.qcow2.xz", "amd64.qcow2.xz"], "amd64.qcow2.xz"),
        (
            "15.0",
            ["amd64-BASIC-CLOUDINIT-ufs.qcow2.xz", "amd64-zfs.qcow2.xz", "amd64-ufs.qcow2.xz"],
            "amd64-ufs.qcow2.xz",
        ),
    ],
)
def test_the_ufs_image_is_chosen_by_the_published_list(
    site: Site, fetch: Callable[..., Path], release: str, listed: list[str], wanted: str
) -> None:
    prefix = f"FreeBSD-{release}-RELEASE-"
    for name in listed:
        packed = PACKED if name == wanted else lzma.compress(name.encode())
        site.publish(prefix + name, packed, under=f"/releases/{release}-RELEASE/amd64/Latest")
    path = fetch(ImageSettings(release=release))
    assert path.name == f"{prefix}amd64.qcow2"
    assert path.read_bytes() == CONTENT


def test_the_snapshot_of_a_branch_is_fetched_anew_when_there_is_another(
    site: Site, fetch: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "inspect", lambda _: None)  # these are no images
    current, under = ImageSettings(release="16.0-CURRENT"), "/snapshots/16.0-CURRENT/amd64/Latest"
    names = ["-20261116-9bec8a959bd6-288738-ufs", "-20261123-74019bc3ea91-288900-ufs", "-ufs"]
    contents = [CONTENT, CONTENT[::-1], CONTENT[:CHUNK]]
    for name, content in zip(names, contents, strict=True):
        site.files.clear()
        site.publish(
            f"FreeBSD-16.0-CURRENT-amd64{name}.qcow2.xz", lzma.compress(content), under=under
        )
        found = fetch(current)
        assert found.name == "FreeBSD-16.0-CURRENT-amd64.qcow2"
        assert found.read_bytes() == content
        assert fetch(current) == found
    assert len(site.ranges_asked) == len(names), "each was fetched once"


def test_what_is_published_is_told_without_fetching_it(site: Site) -> None:
    site.publish()
    told = downloads.published(IMAGE, base_url=f"{site.url}/releases", archive_url=None)
    assert (told.name, told.sha512) == (f"{NAME}.xz", hashlib.sha512(PACKED).hexdigest())
    assert site.ranges_asked == []


def test_a_release_without_such_an_image_says_what_it_has(
    site: Site, fetch: Callable[..., Path]
) -> None:
    site.publish("FreeBSD-13.2-RELEASE-amd64-zfs.qcow2.xz")
    with pytest.raises(ImageError, match=r"only FreeBSD-13\.2-RELEASE-amd64-zfs\.qcow2\.xz"):
        fetch()


# --- On this host -------------------------------------------------------------------------------


def test_find_names_the_two_ways_to_an_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"there is no image of(.|\n)*`make image` .*IMAGE=path"):
        image.find(IMAGE, tmp_path)
    (tmp_path / f"{NAME}.xz.part").touch()
    with pytest.raises(ImageError, match="only a part of one"):
        image.find(IMAGE, tmp_path)
    (tmp_path / NAME).touch()
    assert image.find(IMAGE, tmp_path) == tmp_path / NAME


BRANCH = ImageSettings(release="14")


def test_of_a_branch_the_newest_that_is_here_is_taken(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no image of FreeBSD 14 .*\n.*the newest of 14"):
        image.find(BRANCH, tmp_path)
    for release in (
        "13.2-RELEASE",
        "14.9-RELEASE",
        "14.10-RELEASE",
        "14.11-STABLE",
        "140.1-RELEASE",
    ):
        (tmp_path / f"FreeBSD-{release}-amd64.qcow2").touch()
    assert image.find(BRANCH, tmp_path).name == "FreeBSD-14.10-RELEASE-amd64.qcow2"
    with pytest.raises(
        ImageError, match=r"no image of FreeBSD 15 .*\n.*140\.1, 14\.11-STABLE, 14\.10,"
    ):
        image.find(ImageSettings(release="15"), tmp_path)
    with pytest.raises(ImageError, match="CURRENT"):
        image.find(ImageSettings(release="CURRENT"), tmp_path)


def offer(site: Site, *releases: str, under: str = "releases") -> None:
    site.files[f"/{under}/"] = "".join(f'<a href="{each}/">' for each in releases).encode()


def publish(site: Site, release: str, under: str = "releases") -> None:
    site.publish(f"FreeBSD-{release}-amd64.qcow2.xz", under=f"/{under}/{release}/amd64/Latest")


def test_of_a_branch_the_newest_that_has_an_image_is_downloaded(
    site: Site, fetch: Callable[..., Path], shown: io.StringIO
) -> None:
    offer(site, "13.5-RELEASE", "14.9-RELEASE", "14.10-RELEASE", "14.11-RELEASE", "15.0-RELEASE")
    publish(site, "14.9-RELEASE")
    publish(site, "14.10-RELEASE")  # 14.11 has its folder, and nothing in it yet
    assert fetch(BRANCH).name == "FreeBSD-14.10-RELEASE-amd64.qcow2"
    said = shown.getvalue()
    assert said.index("FreeBSD 14 is 14.10-RELEASE today") < said.index("from http")


def test_a_branch_that_left_the_site_is_in_the_archive(
    site: Site, fetch: Callable[..., Path]
) -> None:
    offer(site, "15.0-RELEASE")
    offer(site, "14.2-RELEASE", "14.3-RELEASE", under="archive")
    publish(site, "14.3-RELEASE", under="archive")
    assert fetch(BRANCH).name == "FreeBSD-14.3-RELEASE-amd64.qcow2"
    with pytest.raises(ImageError, match=r"no FreeBSD 12 (.|\n)*of these: 14\.2, 14\.3, 15\.0"):
        fetch(ImageSettings(release="12"))


def test_the_newest_snapshot_has_no_number(site: Site, fetch: Callable[..., Path]) -> None:
    offer(site, "15.1-STABLE", "16.0-CURRENT", under="snapshots")
    publish(site, "16.0-CURRENT", under="snapshots")
    assert fetch(ImageSettings(release="CURRENT")).name == "FreeBSD-16.0-CURRENT-amd64.qcow2"


@needs_qemu_img
def test_a_branch_without_a_network_is_what_is_here(
    fetch: Callable[..., Path], tmp_path: Path, shown: io.StringIO
) -> None:
    with pytest.raises(ImageError, match="Connection refused"):
        fetch(BRANCH, base=closed_port())
    (tmp_path / "images").mkdir(exist_ok=True)
    here = qcow2(tmp_path / "images" / "FreeBSD-14.1-RELEASE-amd64.qcow2")
    assert fetch(BRANCH, base=closed_port()) == here
    assert "taking 14.1-RELEASE, which is here" in shown.getvalue()


def qemu_img(*arguments: str | Path) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True, timeout=20)


def raw(path: Path) -> Path:
    path.write_bytes(bytes(510) + b"\x55\xaa" + bytes(2 * 1024 * 1024 - 512))
    return path


def qcow2(path: Path) -> Path:
    """A disk of 2 MiB with all its clusters in the file."""
    qemu_img("create", "-f", "qcow2", "-o", "preallocation=falloc", path, "2M")
    return path


@needs_qemu_img
def test_qcow2_and_raw_images_are_told_apart(tmp_path: Path) -> None:
    one, other = qcow2(tmp_path / "a disk.qcow2"), raw(tmp_path / "disk.img")
    assert image.inspect(one) == image.ImageInfo(one, "qcow2", 2 * 1024 * 1024)
    assert image.inspect(other) == image.ImageInfo(other, "raw", 2 * 1024 * 1024)


def overlay_without_its_base(path: Path) -> None:
    base = raw(path.with_name("base.img"))
    qemu_img("create", "-f", "qcow2", "-F", "raw", "-b", base.name, path)
    base.unlink()


def cut_short(path: Path) -> None:
    with qcow2(path).open("r+b") as file:
        file.truncate(1024 * 1024)


def installation_cd(path: Path) -> None:
    with raw(path).open("r+b") as file:
        file.seek(32769)
        file.write(b"CD001")


@needs_qemu_img
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda _: None, "there is no file"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.touch(), "is an empty file"),
        (lambda path: path.write_bytes(PACKED), "compressed with xz\n.*unxz --keep"),
        (lambda path: path.write_bytes(bytes(4096)), "not a bootable disk image"),
        (installation_cd, "is an installation CD"),
        (cut_short, "is damaged"),
        (overlay_without_its_base, r"is an overlay, and its backing file .*base\.img is not there"),
        (
            lambda path: qemu_img("create", "-f", "vmdk", path, "1M"),
            "is a vmdk image(.|\n)*qemu-img convert -O qcow2 .*disk-converted.qcow2",
        ),
        (lambda path: path.write_bytes(b"QFI\xfb" + b"\xff" * 600), "qemu-img cannot open"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_no_node_can_start_from_is_refused(
    make: Callable[[Path], object], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "disk.img"
    make(path)
    with pytest.raises(ImageError, match=says):
        image.inspect(path)


def test_an_unreadable_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = raw(tmp_path / "disk.img")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)  # root may read everything, so chmod proves nothing
    with pytest.raises(ImageError, match=r"cannot be read: Permission denied"):
        image.inspect(path)
