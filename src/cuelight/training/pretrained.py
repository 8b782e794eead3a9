"""Download of pretrained weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from huggingface_hub import constants, get_session

from cuelight.errors import CuelightError
from cuelight.utils.redaction import reason_of


@contextmanager
def downloading(network: str, pretrained: bool) -> Iterator[None]:
    """Report that the weights of a network cannot be downloaded as a ``CuelightError``.

    If the Hugging Face Hub does not answer one request, weights are taken from its cache alone; huggingface_hub would
    try for minutes. The variables of huggingface_hub, such as ``HF_HUB_ETAG_TIMEOUT`` in seconds, apply.
    """
    unreachable = _why_unreachable() if pretrained else None
    was_offline = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = was_offline or unreachable is not None
    try:
        yield
    except OSError as error:
        if not pretrained:
            raise
        reason = (unreachable or reason_of(error)).rstrip(".")
        raise CuelightError(
            f"The pretrained weights of {network} cannot be downloaded: {reason}. Connect to the internet once; copy "
            f"{constants.HF_HOME} from a machine that has them, to here or to the folder that HF_HOME names; or set "
            "pretrained: false."
        ) from error
    finally:
        constants.HF_HUB_OFFLINE = was_offline


def _why_unreachable() -> str | None:
    try:
        status = get_session().head(constants.ENDPOINT, timeout=constants.HF_HUB_ETAG_TIMEOUT).status_code
    except Exception as error:  # noqa: BLE001 - which errors there are depends on the version of huggingface_hub
        return f"{constants.ENDPOINT} does not answer ({reason_of(error).rstrip('.')})"
    return f"{constants.ENDPOINT} answers with status {status}" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else None
