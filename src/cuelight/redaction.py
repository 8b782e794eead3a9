"""Secrets kept out of what is written down: by the name of their key, inside URLs, and where their form tells them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

REDACTED = "REDACTED"

# Anywhere in a key that is written without spaces, dots, dashes and underscores.
_SECRET_PARTS = (
    "password", "passwd", "passphrase", "passcode", "secret", "credential", "authorization", "authentication",
    "cookie", "bearer", "apikey", "accesskey", "privatekey", "accountkey", "sharedkey", "signingkey", "encryptionkey",
    "sshkey", "deploykey", "masterkey", "storagekey", "licensekey", "subscriptionkey", "authkey", "connectionstring",
    "apitoken", "accesstoken", "authtoken", "refreshtoken", "sessiontoken",
)  # fmt: skip
_SECRET_WORDS = frozenset({"auth", "oauth", "pwd", "jwt"})
# Beside these, a token is a piece of text or of an image.
_LANGUAGE = frozenset({
    "bos", "class", "cls", "dist", "end", "eos", "image", "mask", "max", "min", "num", "pad", "patch", "per", "reg",
    "register", "sep", "special", "start", "unk", "visual",
})  # fmt: skip
_SIGNATURES = frozenset({"sig", "signature", "key", "code", "hmac"})

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_REFERENCE = re.compile(r"\$\{env:[A-Za-z_]\w*\}")

# Name and password before the host. The second form is a password with a slash in it, which is not a port.
_USER = re.compile(
    r"(?<![A-Za-z0-9+.-])(?P<scheme>[A-Za-z0-9+.-]+://)"
    r"(?P<user>[^\s/?#\"'<>]*|[^\s/?#:@\[\"'<>]+:(?!\d+[/?#])[^\s\"'<>]{0,200})@"
)
_QUERY = re.compile(r"(?<=[?&;#])(?P<name>[\w.~%-]+)=(?P<value>[^&;#\s\"'<>]+)")
_VALUE = r"(?P<value>\$\{[^}\n]*\}|\"[^\"\n]*\"|'[^'\n]*'|[^\s,;&\"'{}\[\]]+)"
_ASSIGNED = re.compile(r"(?<![\w.-])(?P<before>[\d.-]*)(?P<name>[^\W\d][\w.-]*)(?P<sign>[\"']?\s*[:=]\s*)" + _VALUE)
_OPTION = re.compile(r"(?<![\w-])(?P<before>--)(?P<name>[A-Za-z][\w-]*)(?P<sign> +)(?!-)" + _VALUE)
_BEARER = re.compile(r"\b(?P<scheme>bearer|authorization:\s*\w+)\s+[\w.~+/=-]{6,}", re.IGNORECASE)
# GitHub, GitLab, Hugging Face, OpenAI and Anthropic, W&B, AWS, Google, Slack, PyPI; web tokens; private keys.
_KNOWN_FORMS = re.compile(
    r"\b(?:gh[opsur]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|hf_[A-Za-z0-9]{16,}|sk-[\w-]{20,}|wandb_v\d_\w{16,}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[\w-]{30,}|xox[a-z]-[\w-]{10,}|pypi-[\w-]{16,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
    r"|(?<=hooks\.slack\.com/services/)[\w/]+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)


def redacted(tree: Any) -> Any:
    """Copy a tree without the secrets in it.

    What stands under a key that names a secret, such as ``password`` or ``api_key``, is replaced as a whole. Every
    other text loses passwords and signatures of URLs, bearer tokens, and keys of well-known forms. Text that came from
    an environment variable shows the name of the variable.

    Args:
        tree: Mappings, lists, tuples and scalars.

    Returns:
        A new tree of dicts, lists, tuples and the same scalars.

    Examples:
        >>> redacted({"user": "ada", "password": "x", "max_tokens": 8, "uri": "https://ada:x@example.org/?token=x&a=1"})
        {'user': 'ada', 'password': 'REDACTED', 'max_tokens': 8, 'uri': 'https://REDACTED@example.org/?token=REDACTED&a=1'}
    """
    if isinstance(tree, Mapping):
        named = any(names_secret(tree[key]) for key in ("name", "key") if isinstance(tree.get(key), str))
        return {
            _of_key(key): _hidden(value) if names_secret(key) or (named and key == "value") else redacted(value)
            for key, value in tree.items()
        }
    if isinstance(tree, (list, tuple)):
        entries = [redacted(entry) for entry in tree]
        return entries if isinstance(tree, list) else tuple(entries)
    return redacted_text(tree) if isinstance(tree, str) else tree


def redacted_text(text: str) -> str:
    """Copy a text without the secrets in it.

    Args:
        text: Any text, of one line or many.

    Returns:
        The text with each secret replaced.
    """
    shown = str(getattr(text, "template", text))  # EnvironmentText
    shown = _KNOWN_FORMS.sub(REDACTED, shown)
    shown = _USER.sub(_without_password, shown)
    shown = _QUERY.sub(_without_signature, shown)
    shown = _BEARER.sub(rf"\g<scheme> {REDACTED}", shown)
    return _OPTION.sub(_without_value, _ASSIGNED.sub(_without_value, shown))


def names_secret(key: object) -> bool:
    """Tell whether a key names a secret.

    Args:
        key: A key of a mapping, also in dot notation.

    Returns:
        Whether what stands under it has to be hidden.

    Examples:
        >>> [key for key in ("API_KEY", "authToken", "author", "tokenizer", "max_tokens", "key") if names_secret(key)]
        ['API_KEY', 'authToken']
    """
    words = [word.lower() for word in _WORDS.findall(str(key))]
    joined = "".join(words)
    if any(part in joined for part in _SECRET_PARTS) or _SECRET_WORDS.intersection(words):
        return True
    while words and words[-1].isdigit():
        words.pop()
    return words[-1:] == ["token"] and not _LANGUAGE.intersection(words)


def _hidden(value: Any) -> Any:
    """What is shown of a secret: that there is one; a reference to an environment variable tells no more than that."""
    if value is None or isinstance(value, bool) or value == "":
        return value
    shown = str(getattr(value, "template", value))
    return shown if _REFERENCE.fullmatch(shown) else REDACTED


def _of_key(key: Any) -> Any:
    return redacted_text(key) if isinstance(key, str) else key


def _without_password(match: re.Match[str]) -> str:
    scheme, user = match["scheme"], match["user"]
    # A name alone is public where a key of one's own proves it, and a token where it goes into a header.
    public = ":" not in user and not scheme.lower().startswith("http")
    return match[0] if public or user in {"git", REDACTED} else f"{scheme}{REDACTED}@"


def _without_signature(match: re.Match[str]) -> str:
    name = match["name"]
    words = {word.lower() for word in _WORDS.findall(name)}
    secret = names_secret(name) or words & _SIGNATURES or "awsaccesskey" in name.lower()
    return f"{name}={REDACTED}" if secret else match[0]


def _without_value(match: re.Match[str]) -> str:
    name, sign, value = match["name"], match["sign"], match["value"]
    address = value.startswith("//")  # the name is the scheme of a URL
    return match[0] if address or not names_secret(name) else f"{match['before']}{name}{sign}{_hidden(value)}"
