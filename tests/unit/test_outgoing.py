"""What leaves a run: keys made by the programs that make keys, in every shape that they get."""

import html
import json
import random
import re
import shutil
import string
import subprocess
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest

from harness.record import outgoing
from tests import forked

PUTTY = """\
PuTTY-User-Key-File-3: ssh-rsa
Encryption: none
Comment: of a node
Public-Lines: 6
{public}
Private-Lines: 14
{private}
Private-MAC: 1e37b1b8a1b8c2ff35b1b8a1b8c2ff351e37b1b8a1b8c2ff35b1b8a1b8c2ff35
"""


def lines(seed: bytes, count: int, width: int = 64) -> str:
    """Base64 of something that nobody can tell from a key."""
    chance = random.Random(seed)
    alphabet = string.ascii_letters + string.digits + "+/"
    return "\n".join("".join(chance.choices(alphabet, k=width)) for _ in range(count))


def openssl(*arguments: str) -> str:
    if shutil.which("openssl") is None:
        pytest.skip("not on this host: openssl")
    return subprocess.run(
        ["openssl", *arguments], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def pem(what: str, body: str) -> str:
    return f"-----BEGIN {what}PRIVATE KEY-----\n{body}\n-----END {what}PRIVATE KEY-----\n"


RSA_BODY = "MIIEpAIBAAKCAQEA7v" + lines(b"an RSA key, as PKCS #1", 25)[18:] + "\nqfQ2yw=="
KEYS = {
    "pem": pem("RSA ", RSA_BODY),
    "openssh": pem("OPENSSH ", "b3BlbnNzaC1rZXktdjEAAAAABG5v" + lines(b"openssh", 5, 70)[28:]),
    "encrypted": pem(
        "RSA ",
        f"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,3F17F5316E2BAC89\n\n{lines(b'enc', 9)}",
    ),
    "ssh2": '---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nComment: "of a node"\n'
    f"{lines(b'ssh2', 8, 70)}\n---- END SSH2 ENCRYPTED PRIVATE KEY ----\n",
    "pgp": "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n\n"
    f"{lines(b'pgp', 12)}\nqA==\n=njUN\n-----END PGP PRIVATE KEY BLOCK-----\n",
    "putty": PUTTY.format(
        public="AAAAB3NzaC1yc2EAAAADAQABAAABAQ" + lines(b"a public", 6)[30:],
        private=lines(b"a private one", 13) + "\nZm9vYmFy",
    ),
    "bare openssh": "b3BlbnNzaC1rZXktdjEAAAAABG5v" + lines(b"openssh", 5, 70)[28:] + "\n",
    "bare openssh in one line": "b3BlbnNzaC1rZXktdjEAAAAABG5v" + "Zm9vYmFyQ" * 40 + "==\n",
    "bare der": RSA_BODY + "\n",
}


def shapes(key: str) -> dict[str, str]:
    """What becomes of a key on its way into a file."""
    cut = key.splitlines(keepends=True)
    return {
        "as it is": key,
        "dos": key.replace("\n", "\r\n"),
        "transcript": "".join(f"[simulated] 00:03:49.253 skunk1  #     {line}" for line in cut),
        "syslog": "".join(f"Nov 22 12:00:0{n % 10} skunk1 a[17]: {x}" for n, x in enumerate(cut)),
        "pytest": "".join(f"E       {line}" for line in cut),
        "json": json.dumps({"stdout": key}) + "\n",
        "json with slashes": json.dumps({"stdout": key}).replace("/", "\\/") + "\n",
        "json of json": json.dumps(json.dumps({"stdout": key})),
        "json lines": json.dumps(cut, indent=1),
        "repr": repr(key),
        "xml": f"<failure message={quoteattr(key, {chr(10): '&#10;'})}/>",
        "html": f"<pre>{html.escape(key)}</pre><p>after</p>",
        "one line": " ".join(key.split()),
    }


def secret_parts(key: str) -> list[str]:
    """Every eight characters of what is secret: nothing of it may be left."""
    private = key[key.find("Private-Lines") :] if "Private-Lines" in key else key
    body = [
        line
        for line in private.splitlines()
        if re.fullmatch(r"[A-Za-z0-9+/=]{4,}", line) and not line.startswith("=")
    ]
    return [line[at : at + 8] for line in body for at in range(0, len(line), 8) if line[at + 7 :]]


def check(text: str, key: str) -> str:
    cleaned = outgoing.without_secrets(text)
    flat = cleaned.replace("\\/", "/")
    left = [part for part in secret_parts(key) if part in flat]
    assert not left, cleaned
    assert outgoing.LEFT_OUT in cleaned
    assert outgoing.without_secrets(cleaned) == cleaned, "what is clean stays as it is"
    return cleaned


@pytest.mark.parametrize("name", KEYS)
def test_a_key_leaves_in_no_shape(name: str) -> None:
    key = KEYS[name]
    assert len(secret_parts(key)) > 10
    for shape, text in shapes(key).items():
        cleaned = check(f"before {text}", key)
        assert cleaned.startswith("before "), shape
        if shape.startswith("json"):
            json.loads(cleaned.removeprefix("before "))
        if shape == "html":
            assert cleaned.endswith("</pre><p>after</p>")


@pytest.mark.parametrize("name", [name for name in KEYS if not name.startswith("bare")])
def test_a_part_of_a_key_does_not_leave(name: str) -> None:
    """Whatever cut it: a program that shows the last lines, a limit of characters, a lost line."""
    key = KEYS[name]
    whole = key.splitlines(keepends=True)
    start = next(n for n, line in enumerate(whole) if "BEGIN" in line or "Private-L" in line)
    for cut in (
        "".join(whole[start + 2 :]),  # its first lines are missing
        "".join(whole[start:])[20:],  # and a part of the first
        "".join(whole[start:-2]),  # the last ones
        "".join(whole[start:-3])[:-30],
        "".join(whole[start : start + 3]) + "".join(whole[start + 4 :]),
    ):
        for shape, text in shapes(cut).items():
            if shape != "one line":
                check(f"before\n{text}", cut)


def test_a_piece_from_the_middle_does_not_leave() -> None:
    body = "\n".join(RSA_BODY.splitlines()[3:-3])
    for shape, text in shapes(body).items():
        if shape != "one line":
            check(f"before\n{text}\nafter", body)


@pytest.mark.parametrize(
    "arguments",
    [
        ("genpkey", "-algorithm", "ed25519"),
        ("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
        ("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"),
        ("genrsa", "-traditional", "1024"),
        ("ecparam", "-name", "secp384r1", "-genkey", "-noout"),
        ("genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:x"),
    ],
)
def test_der_in_base64_is_known(arguments: tuple[str, ...]) -> None:
    """As real ones begin, without a line that says what they are."""
    key = openssl(*arguments)
    body = "".join(line for line in key.splitlines(keepends=True) if "-" not in line)
    check(f"before\n{body}after\n", body)
    check(f"the key is {body.replace(chr(10), '')} and", body.replace("\n", ""))


def test_what_is_public_stays(tmp_path: Path) -> None:
    shown = "\n".join(
        [
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHgz4uhMb0lEkmSNvR3Oqd5MOXHTu0VbD0hG1UVh5xLw x",
            *("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03" for _ in range(8)),
            "-----BEGIN CERTIFICATE-----",
            lines(b"a certificate", 12),
            "-----END CERTIFICATE-----",
            "Public-Lines: 6",
            lines(b"public", 6),
            "a PRIVATE KEY is a file of mode 0600; MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA",
            "/usr/local/share/examples/hast/ucarp_up.sh",
        ]
    )
    assert outgoing.without_secrets(shown) == shown
    if shutil.which("openssl"):
        (tmp_path / "key").write_text(openssl("genrsa", "1024"))
        public = openssl("rsa", "-in", str(tmp_path / "key"), "-pubout")
        body = "".join(public.splitlines(keepends=True)[1:-1])
        assert outgoing.without_secrets(public) == public
        assert outgoing.without_secrets(body.replace("\n", "")) == body.replace("\n", "")


def test_passwords_do_not_leave() -> None:
    cleaned = outgoing.without_secrets(
        "ifconfig vtnet1 vhid 1 advskew 100 pass mekmitasdigoat alias 10.0.0.1/32\n"
        '{"text": "ifconfig em0 inet vhid 7 pass s3cret\\nnext"}\n'
        "root:$6$abcdefgh$" + "x/." * 28 + ":0:0\n"
        "qemu+ssh://root:hunter2@host/system and https://host/a:b@c\n"
        "vhid 1 passes; 1 passed in 5 s\n"
    )
    assert cleaned == (
        "ifconfig vtnet1 vhid 1 advskew 100 pass (left out) alias 10.0.0.1/32\n"
        '{"text": "ifconfig em0 inet vhid 7 pass (left out)\\nnext"}\n'
        "root:$6$(left out):0:0\n"
        "qemu+ssh://root:(left out)@host/system and https://host/a:b@c\n"
        "vhid 1 passes; 1 passed in 5 s\n"
    )


def test_whatever_the_encoding_a_file_keeps_its_bytes() -> None:
    content = b"\xff\xfe latin-1: \xe4\n" + KEYS["openssh"].encode() + b"\x00\x80"
    cleaned = outgoing.without_secrets_in(content)
    assert cleaned == b"\xff\xfe latin-1: \xe4\n" + outgoing.LEFT_OUT.encode() + b"\n\x00\x80"


def test_a_terminal_is_told_nothing() -> None:
    assert outgoing.printable(
        "\x1b]0;title\x07 \x9b2J a\x08\rb\r\n\tc\x00\x7f\ud800\uffff\u202e"
    ) == ("␛]0;title␇ \ufffd2J a␈␍b\n\tc␀␡\ufffd\ufffd\ufffd")
    plain = "as it is: ä → 日本\n"
    assert outgoing.printable(plain) is plain


TEST = """
import pytest

KEY = {key!r}

@pytest.fixture
def broken():
    yield
    raise RuntimeError("\\x1b[2Jin the clean-up " + KEY)

def test_it(broken, record_property):
    record_property("noted: a key", KEY)
    print("on its standard output \\x1b]0;title\\x07", KEY)
    node_said = "\\x1b[31mred" + KEY
    assert node_said == "\\x9b2J", KEY + node_said

@pytest.mark.parametrize("what", ["\\x1b[1m"])
def test_expected(what):
    pytest.xfail("\\x1b[1m" + KEY)

def test_fine():
    assert True
"""

CONFTEST = """
from harness.operate.clean_reports import CleanReports
from tests import forked

def pytest_configure(config):
    config.pluginmanager.register(CleanReports(config))
"""


@pytest.mark.parametrize("style", ["long", "line"])
def test_neither_terminal_nor_junit_get_what_a_failure_has(tmp_path: Path, style: str) -> None:
    key = KEYS["openssh"]
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TEST.format(key=key))
    run = forked.run(
        *("-vv", "-ra", "-p", "no:cacheprovider"),
        *(f"--tb={style}", "--color=no", "--junitxml=junit.xml", "-o", "junit_family=xunit1"),
        program="pytest",
        cwd=tmp_path,
    )
    assert "1 failed, 1 passed, 1 xfailed, 1 error" in run.stdout
    for text in (run.stdout, run.stderr, (tmp_path / "junit.xml").read_text()):
        # The test's own source has the key as a string; what a node says is in no source.
        assert not [part for part in secret_parts(key) if part in text]
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
    assert outgoing.LEFT_OUT in run.stdout
    assert "in the clean-up" in run.stdout
