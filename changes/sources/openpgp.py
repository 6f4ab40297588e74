"""OpenPGP as repositories use it: a text signed within itself or by a file beside it, checked against given public keys and
no others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pysequoia import Cert, Decrypted, Sig, verify

_BEGIN_TEXT = b"-----BEGIN PGP SIGNED MESSAGE-----"
_BEGIN_SIGNATURE = b"-----BEGIN PGP SIGNATURE-----"
_END_SIGNATURE = b"-----END PGP SIGNATURE-----"


class BadKeyring(Exception):
    """Bytes that hold no public key that can be used."""


class Unsigned(Exception):
    """A text that is not clear-signed from its first to its last line."""


class BadSignature(Exception):
    """No signature of the text was made by one of the keys, or the text was changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedText:
    """What the signature covers (nothing else may be read) and whose it is: fingerprints in lower hex."""

    content: bytes = field(repr=False)
    certificate: Cert
    signing_key: str


def read_keyring(data: bytes) -> list[Cert]:
    """Read public keys, binary or armored, one or several. Revoked ones are left out. Raises BadKeyring."""
    try:
        certificates = Cert.split_bytes(data)
    except (RuntimeError, ValueError) as error:
        raise BadKeyring(f"The keyring cannot be read ({_first_line(error)}).") from None
    usable = [certificate for certificate in certificates if not certificate.is_revoked]
    if not usable:
        raise BadKeyring("The keyring holds no public key, or only revoked ones.")
    return usable


def open_clearsigned(data: bytes, *, keys: Sequence[Cert]) -> SignedText:
    """Return what one of `keys` signed.

    Text before or after the signed block is refused, although the signature would hold without it: nobody signed it.
    Weak algorithms, keys expired by this machine's clock and revoked keys are refused by the library's policy. Raises
    Unsigned, BadSignature.
    """
    _check_frame(data)
    try:
        opened = verify(data, lambda _: list(keys))
    except (RuntimeError, ValueError) as error:
        raise BadSignature(_first_line(error)) from None
    if opened.bytes is None:
        raise BadSignature("no valid signature was found")
    return _signed(bytes(opened.bytes), opened, keys)


def check_detached(data: bytes, signature: bytes, *, keys: Sequence[Cert]) -> SignedText:
    """Return `data` as what one of `keys` signed in the file beside it: one armored block and nothing else.

    Raises Unsigned, BadSignature.
    """
    lines = [line.rstrip() for line in signature.strip().split(b"\n")]
    if not lines or lines[0] != _BEGIN_SIGNATURE:
        raise Unsigned("its signature does not begin with a block of signatures")
    if lines[-1] != _END_SIGNATURE or [line for line in lines if line.startswith(b"-----")] != [lines[0], lines[-1]]:
        raise Unsigned("its signature is cut off, or is not one block of signatures")
    try:
        opened = verify(bytes=data, store=lambda _: list(keys), signature=Sig.from_bytes(signature))
    except (RuntimeError, ValueError) as error:
        raise BadSignature(_first_line(error)) from None
    return _signed(data, opened, keys)


def _signed(content: bytes, opened: Decrypted, keys: Sequence[Cert]) -> SignedText:
    if not opened.valid_sigs:
        raise BadSignature("no valid signature was found")
    signature = opened.valid_sigs[0]
    certificate = next((key for key in keys if key.fingerprint == signature.certificate), None)
    if certificate is None:
        raise BadSignature(f"the signer {signature.certificate} is none of the given keys")
    return SignedText(content=content, certificate=certificate, signing_key=signature.signing_key)


def _check_frame(data: bytes) -> None:
    lines = [line.rstrip() for line in data.rstrip().split(b"\n")]
    marks = [line for line in lines if line.startswith(b"-----")]
    if not lines or lines[0] != _BEGIN_TEXT:
        raise Unsigned("it does not begin with a signed message")
    if lines[-1] != _END_SIGNATURE:
        raise Unsigned("it does not end with a signature: it is cut off, or something was added")
    if marks != [_BEGIN_TEXT, _BEGIN_SIGNATURE, _END_SIGNATURE]:
        raise Unsigned("it is not one signed message with one block of signatures")


def _first_line(error: Exception) -> str:
    # The library's errors carry a backtrace below their first line.
    return str(error).partition("\n")[0].strip().rstrip(".") or type(error).__name__
