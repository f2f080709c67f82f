"""What a server answers instead of scores."""

from __future__ import annotations

import re

# What to do, by the name of the gRPC status.
_ADVICE = {
    "CANCELLED": "Ask again.",
    "DEADLINE_EXCEEDED": "The server took longer than `timeout`: raise it, or send less at once (max_message_bytes).",
    "FAILED_PRECONDITION": "Either the model has no such signature (give another one, or export it again), or the "
    "server put the request into a batch with one of another size (ask again).",
    "INVALID_ARGUMENT": "Check that the card, or clip and crop_size, are those of the version that is served.",
    "NOT_FOUND": "Give model= as the server names it (--model_name or its models.config), and a version that it has.",
    "RESOURCE_EXHAUSTED": "Send less at once (max_message_bytes), or later.",
    "UNAVAILABLE": "Check host and port (TF Serving: 8500 for gRPC, 8501 for REST), and whether it runs and has loaded "
    "the model; or it is busy, then ask later.",
    "UNIMPLEMENTED": "Something else than TF Serving answers there; check host and port (8500 for gRPC).",
}
# What gRPC and Python say of a certificate that nobody whom they trust has signed, or that is of another host.
_UNTRUSTED = re.compile(r"certificate.verify.failed|hostname verification check failed", re.IGNORECASE)
_TRUST = "Give credentials=, the root certificates to trust (PEM), and host as the server's certificate names it."


class ServingError(OSError):
    """A server did not answer with scores.

    Args:
        host: Of the server, as it was given.
        status: Name of the gRPC status, of an answer over REST the one that TF Serving translates to its HTTP code.
        message: What the server, or the network, said.
        asked: What for, such as `model 'slowfast', signature 'serving_default'`.

    Attributes:
        host: As given.
        status: As given.
        transient: Whether the same question may find an answer later.
    """

    def __init__(self, host: str, status: str, message: str, asked: str) -> None:
        self.host, self.status = host, status
        untrusted = _UNTRUSTED.search(message) is not None
        self.transient = status == "UNAVAILABLE" and not untrusted
        advice = _TRUST if untrusted else _ADVICE.get(status, "The log of the server says more.")
        super().__init__(f"{host} answers {status} to {asked}: {_sentence(message)} {advice}")


def _sentence(message: str) -> str:
    """A message of TensorFlow without the names of graph nodes and the brackets of an assertion."""
    text = " ".join(re.sub(r"\[\[\{\{.*?\}\}\]\]", "", message, flags=re.DOTALL).split())
    if asserted := re.fullmatch(r"assertion failed: \[(.*)\]", text):
        text = asserted.group(1)
    return text if text.endswith((".", "!", "?")) else f"{text}."
