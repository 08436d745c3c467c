"""SSH keys, made for one lab and gone with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True)
class KeyPair:
    """An Ed25519 key: `private` in OpenSSH's format, `public` as one authorized_keys line."""

    private: bytes
    public: str

    @classmethod
    def generate(cls, comment: str) -> KeyPair:
        """A new key pair. `comment` ends the public line, to tell a person whose it is."""
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        return cls(private, f"{public.decode('ascii')} {comment}")

    def write_private(self, path: Path) -> None:
        """Write the private half, readable by its owner alone."""
        path.touch(mode=0o600)
        path.write_bytes(self.private)
