"""Secrets: passwords that are slow to guess, and random ones of which only a digest is kept."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import unicodedata

from tradewind.errors import BadInputError

SHORTEST, LONGEST = 12, 1_000
COST, BLOCK, LANES = 15, 8, 1
"""Of scrypt: 2^15 rounds over blocks of 8 take 32 MiB and some 0.1 s a guess.

Reference:
    Percival and Josefsson (2016), The scrypt password-based key derivation function, RFC 7914, section 2.
"""


def sealed(password: str) -> str:
    """Return what is kept of a password.

    Raises:
        BadInputError: If it is too short or too long.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadInputError(
            "The password is too short" if len(password) < SHORTEST else "The password is too long",
            got=f"{len(password)} characters", allowed=f"{SHORTEST} to {LONGEST}", do="take a few unrelated words",
        )  # fmt: skip
    salt = secrets.token_bytes(16)
    return "$".join(("scrypt", str(COST), str(BLOCK), str(LANES), _text(salt), _text(_now(password, salt))))


def fits(password: str, kept: str | None) -> bool:
    """Whether a password is the one of which something was kept; as slow where nothing was."""
    if kept is None or len(password) > LONGEST:
        _now(password[:LONGEST], b"nobody" * 3)
        return False
    _, cost, block, lanes, salt, digest = kept.split("$")
    found = _stretched(password, _bytes(salt), int(cost), int(block), int(lanes))
    return hmac.compare_digest(found, _bytes(digest))


def fresh(prefix: str = "") -> str:
    """Return a new random secret of 256 bits."""
    return prefix + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Return what is kept of a random secret: it cannot be guessed, so that one round of SHA-256 does."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def derived(secret: str, purpose: str) -> str:
    """Return another secret, for one purpose, that does not give the first one away."""
    return hmac.new(secret.encode("utf-8", "surrogatepass"), purpose.encode(), hashlib.sha256).hexdigest()


def _now(password: str, salt: bytes) -> bytes:
    return _stretched(password, salt, COST, BLOCK, LANES)


def _stretched(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    typed = unicodedata.normalize("NFC", password)  # machines differ in how they type an accent
    return hashlib.scrypt(
        typed.encode("utf-8", "surrogatepass"), salt=salt, n=2**cost, r=block, p=lanes, maxmem=2**26, dklen=32
    )


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _bytes(value: str) -> bytes:
    return base64.b64decode(value)
