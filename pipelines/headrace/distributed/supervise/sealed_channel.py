"""Seal what an agent and a control server send each other, so that both know whom they talk to.

Both derive two keys from the run's secret and a random number of each side, one key a direction;
messages are encrypted and authenticated with them (ChaCha20-Poly1305) and numbered. The secret
itself is never sent, and neither is anything in clear. Whoever does not know it can neither read a
message, nor make one, nor repeat one.
"""

import ipaddress
import secrets
import socket

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from headrace.errors import RankError

NONCE_BYTES = 32
_NUMBER_BYTES = 8
_PURPOSE = b"headrace agents, version 1"
_PROOF = b"the control server knows the secret of this run"


class ForgedMessageError(Exception):
    """A message that was not made for this channel, by the other side, now."""


def make_nonce() -> bytes:
    """Make the random number that one side adds to the keys of a channel."""
    return secrets.token_bytes(NONCE_BYTES)


class _Keys:
    def __init__(self, secret: str, agent_nonce: bytes, server_nonce: bytes) -> None:
        derive = HKDF(hashes.SHA256(), length=64, salt=agent_nonce + server_nonce, info=_PURPOSE)
        key = derive.derive(secret.encode() or b"none")
        self.requests, self.answers = ChaCha20Poly1305(key[:32]), ChaCha20Poly1305(key[32:])


class AgentChannel:
    """The side of an agent: it numbers its requests, and takes an answer for the last one alone."""

    def __init__(self, secret: str, agent_nonce: bytes, server_nonce: bytes, proof: bytes) -> None:
        """
        Args:
            secret: of the run.
            agent_nonce: as `make_nonce` returned it here.
            server_nonce, proof: what the server answered to it.

        Raises:
            ForgedMessageError: the server does not know the secret.
        """
        self._keys = _Keys(secret, agent_nonce, server_nonce)
        self._number = 0
        if self.open_answer(proof) != _PROOF:
            raise ForgedMessageError

    def seal_request(self, content: bytes) -> bytes:
        """Seal a request; its answer is the only one that is taken from now on."""
        self._number += 1
        number = self._number.to_bytes(_NUMBER_BYTES, "big")
        return number + self._keys.requests.encrypt(_pad(self._number), content, None)

    def open_answer(self, sealed: bytes) -> bytes:
        """Open the answer to the last request.

        Raises:
            ForgedMessageError: it is none.
        """
        try:
            return self._keys.answers.decrypt(_pad(self._number), sealed, None)
        except (InvalidTag, ValueError):
            raise ForgedMessageError from None


class ServerChannel:
    """The side of the control server, for one agent."""

    def __init__(self, secret: str, agent_nonce: bytes, server_nonce: bytes) -> None:
        """
        Args:
            secret: of the run.
            agent_nonce, server_nonce: of both sides.
        """
        self._keys = _Keys(secret, agent_nonce, server_nonce)
        self._number = 0
        self.proof = self._keys.answers.encrypt(_pad(0), _PROOF, None)
        """What shows the agent that this side knows the secret."""

    def open_request(self, sealed: bytes) -> tuple[int, bytes]:
        """Open a request, once.

        Returns:
            its number, which its answer has, and its content.

        Raises:
            ForgedMessageError: it is none of this agent, or was here before.
        """
        number = int.from_bytes(sealed[:_NUMBER_BYTES], "big")
        try:
            content = self._keys.requests.decrypt(_pad(number), sealed[_NUMBER_BYTES:], None)
        except (InvalidTag, ValueError):
            raise ForgedMessageError from None
        if number <= self._number:
            raise ForgedMessageError
        self._number = number
        return number, content

    def seal_answer(self, number: int, content: bytes) -> bytes:
        """Seal the answer to a request, once."""
        return self._keys.answers.encrypt(_pad(number), content, None)


def check_secret(secret: str, address: str) -> None:
    """Refuse to go without a secret where others reach the address.

    Args:
        secret: of the run; may be empty.
        address: of the control server, a name or a number.

    Raises:
        RankError: the secret is empty, and the address is not of the loopback interface.
    """
    if secret:
        return
    try:
        is_local = ipaddress.ip_address(socket.gethostbyname(address)).is_loopback
    except (OSError, ValueError):
        is_local = False
    if not is_local:
        raise RankError(
            f"the ranks meet at {address}, which other machines reach, and there is no secret that "
            "keeps strangers out; set HEADRACE_SECRET to the same long random text for all ranks "
            "(openssl rand -hex 32)"
        )


def _pad(number: int) -> bytes:
    return number.to_bytes(12, "big")
