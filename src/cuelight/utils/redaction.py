"""Remove secrets from what is written down: by the name of their key, inside URLs, and by well-known forms."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from cuelight.utils.hidden_values import hide_value, without_hidden_values
from cuelight.utils.secret_names import WORDS, last_word, names_secret

REDACTED = "REDACTED"
_LONGEST_REASON = 500

_SIGNATURES = frozenset({"sig", "signature", "key", "code", "hmac"})

_VARIABLE = r"\$\{env:[A-Za-z_]\w*(?::-)?\}"
_REFERENCE = re.compile(rf"(?:(?:basic|bearer|token) +)?{_VARIABLE}", re.IGNORECASE)
_REFERRED_USER = re.compile(rf"(?:(?:[\w.%-]+|{_VARIABLE}):)?{_VARIABLE}")

# Name and password before the host. The second form is for a password with a slash, and excludes a port.
_USER = re.compile(
    r"(?<![A-Za-z0-9+.-])(?P<scheme>[A-Za-z0-9+.-]+://)"
    r"(?P<user>[^\s/?#\"'<>]*|[^\s/?#:@\[\"'<>]+:(?!\d+[/?#])[^\s\"'<>]{0,200})@"
)
_QUERY = re.compile(r"(?<=[?&;#])(?P<name>[\w.~%-]+)=(?P<value>[^&;#\s\"'<>]+)")
_VALUE = re.compile(r"\$\{[^{}\n]*\}|\"[^\"\n]*\"|'[^'\n]*'|[^\s,;&\"'{}\[\]]+")
# Does not match the value, which may be the next name, as in "ValueError: password: x"; a reference is not a name.
_NAME_AND_SIGN = re.compile(
    r"\$\{env:[^{}\n]*\}|(?<![\w.-])[\d.-]*(?P<name>[^\W\d][\w.-]*)[\"']?\s*[:=]\s*"
    r"|(?<![\w-])--(?P<option>[A-Za-z][\w-]*) +(?!-)"
)
_ENTRY = re.compile(r"(?P<option>--?)?(?P<name>[A-Za-z][\w.-]*)")
_BEARER = re.compile(r"\b(?P<scheme>bearer|authorization:\s*\w+)\s+[\w.~+/=-]{6,}", re.IGNORECASE)
# GitHub, GitLab, Hugging Face, OpenAI and Anthropic, Stripe, W&B, AWS, Google, Slack, PyPI, npm, Databricks; web
# tokens; private keys.
_KNOWN_FORMS = re.compile(
    r"\b(?:gh[opsur]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|hf_[A-Za-z0-9]{16,}|sk-[\w-]{20,}"
    r"|[rs]k_(?:live|test)_\w{10,}|wandb_v\d_\w{16,}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[\w-]{30,}|ya29\.[\w-]{10,}|xox[a-z]-[\w-]{10,}|pypi-[\w-]{16,}"
    r"|npm_[A-Za-z0-9]{20,}|dapi[0-9a-f]{16,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
    r"|(?<=hooks\.slack\.com/services/)[\w/]+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)


def hidden(text: str) -> str:
    """Return a text as it may be shown: without values from the environment, and users of URLs."""
    return without_users(without_hidden_values(text))


def redacted(tree: Any, above: str = "") -> Any:
    """Copy a tree without the secrets in it.

    The whole value under a key that names a secret, such as ``password`` or ``api_key``, is replaced; in a list, also
    the entry after such a name or option. In all other text, passwords and signatures in URLs, bearer tokens, and keys
    of well-known forms are replaced, and the values of environment variables that a configuration names.

    Args:
        tree: Mappings, lists, tuples and scalars; the copy has dicts for mappings.
        above: The last word of the key above the tree, if it is a part of a larger one.

    Examples:
        >>> redacted({"user": "ada", "password": "x", "max_tokens": 8, "uri": "https://ada:x@example.org/?token=x&a=1"})
        {'user': 'ada', 'password': 'REDACTED', 'max_tokens': 8, 'uri': 'https://REDACTED@example.org/?token=REDACTED&a=1'}
    """
    if isinstance(tree, Mapping):
        named = any(names_secret(tree[key]) for key in ("name", "key") if isinstance(tree.get(key), str))
        copy = {}
        for key, value in tree.items():
            shown = redacted_text(key) if isinstance(key, str) else key
            is_secret = names_secret(key, above) or (named and key == "value")
            copy[shown] = _hidden(value) if is_secret else redacted(value, last_word(key, above))
        return copy
    if isinstance(tree, (list, tuple)):
        pairs = zip((None, *tree), tree, strict=False)
        entries = [_hidden(entry) if _announces(before, entry) else redacted(entry, above) for before, entry in pairs]
        return entries if isinstance(tree, list) else tuple(entries)
    return redacted_text(tree) if isinstance(tree, str) else tree


def redacted_text(text: str) -> str:
    """Replace the secrets in a text of one or more lines."""
    return without_secrets(without_hidden_values(str(getattr(text, "template", text))))  # EnvironmentText


def without_secrets(text: str) -> str:
    """Replace the secrets in a text, but no value of an environment variable."""
    shown = without_users(_KNOWN_FORMS.sub(REDACTED, text))
    shown = _QUERY.sub(_without_signature, shown)
    return _without_values(_BEARER.sub(rf"\g<scheme> {REDACTED}", shown))


def hide_users(text: str) -> None:
    """From now on, hide the users in the URLs of a text: libraries name them without the rest of the URL."""
    for match in _USER.finditer(text):
        if _without_password(match) != match[0]:
            hide_value(match["user"], REDACTED)
            hide_value(match["user"].partition(":")[2], REDACTED)


def without_users(text: str) -> str:
    """Replace the users in the URLs of a text, and nothing else."""
    return _USER.sub(_without_password, text)


def identity_of(address: str) -> str:
    """Return a text without secrets that tells an address from others: a hidden value is replaced by its digest."""
    known, shown = without_secrets(address), redacted_text(address)
    return known if shown == known else f"{shown} {hashlib.sha256(known.encode()).hexdigest()[:12]}"


def reason_of(error: BaseException) -> str:
    """Return class and message of an error in one line, without secrets and cut if very long, for a log or a file.

    Examples:
        >>> reason_of(ConnectionError("nobody at https://ada:x@example.org"))
        'ConnectionError: nobody at https://REDACTED@example.org'
    """
    error = _cause_of_no_answer(error)
    reason = " ".join(redacted_text(f"{type(error).__name__}: {error}").split())
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]} ..."


def _cause_of_no_answer(error: BaseException) -> BaseException:
    """Return why a request got no answer, instead of the nested errors that HTTP clients wrap around it."""
    wrapped: BaseException | None = error
    while wrapped is not None and type(wrapped).__name__ != "MaxRetryError":  # urllib3's, which may not be installed
        wrapped = wrapped.__cause__ or wrapped.__context__
    found = getattr(wrapped, "reason", None)
    while isinstance(found, BaseException) and isinstance(found.__cause__, OSError):
        found = found.__cause__
    return found if isinstance(found, BaseException) else error


def _announces(before: object, entry: object) -> bool:
    """Return whether a list entry is the secret that the entry before it names; an option may also have no value."""
    found = _ENTRY.fullmatch(before) if isinstance(before, str) else None
    if found is None or not names_secret(found["name"]):
        return False
    return not (found["option"] and isinstance(entry, str) and entry.startswith("-"))


def _hidden(value: Any) -> Any:
    """Replace a secret. Empty values, booleans and references to environment variables are shown."""
    if value is None or isinstance(value, bool) or value == "":
        return value
    shown = str(getattr(value, "template", value))
    return shown if _REFERENCE.fullmatch(shown) else REDACTED


def _without_password(match: re.Match[str]) -> str:
    scheme, user = match["scheme"], match["user"]
    # A user without a password is public with SSH, where a key proves it; with HTTP it is a token.
    public = ":" not in user and not scheme.lower().startswith("http")
    shown = public or user in {"git", REDACTED} or _REFERRED_USER.fullmatch(user)
    return match[0] if shown else f"{scheme}{REDACTED}@"


def _without_signature(match: re.Match[str]) -> str:
    name = match["name"]
    words = {word.lower() for word in WORDS.findall(name)}
    secret = names_secret(name) or words & _SIGNATURES or "awsaccesskey" in name.lower()
    return f"{name}={_hidden(match['value'])}" if secret else match[0]


def _without_values(text: str) -> str:
    """Replace what is assigned to the name of a secret, or follows such an option."""
    shown, end = [], 0
    while match := _NAME_AND_SIGN.search(text, end):
        shown.append(text[end : match.end()])
        end = match.end()
        address = text.startswith("//", end)  # the name is the scheme of a URL
        name = match["name"] or match["option"]
        if name and (address or names_secret(name)) and (value := _VALUE.match(text, end)):
            shown.append(value[0] if address else str(_hidden(value[0])))
            end = value.end()
    return "".join([*shown, text[end:]])
