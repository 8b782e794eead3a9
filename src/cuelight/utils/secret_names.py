"""Recognize keys that name a secret by their words."""

from __future__ import annotations

import re

# Found anywhere in a key, after removing spaces, dots, dashes and underscores.
_SECRET_PARTS = (
    "password", "passwd", "passphrase", "passcode", "secret", "credential", "authorization", "authentication",
    "cookie", "bearer", "apikey", "accesskey", "privatekey", "accountkey", "sharedkey", "signingkey", "encryptionkey",
    "sshkey", "deploykey", "masterkey", "storagekey", "licensekey", "subscriptionkey", "authkey", "connectionstring",
    "apitoken", "accesstoken", "authtoken", "refreshtoken", "sessiontoken",
)  # fmt: skip
_SECRET_WORDS = frozenset({"auth", "oauth", "pwd", "jwt", "cred", "creds"})
# Found at the end of a key without one of these words, which mean a token of text or of an image, a pass through a
# network, data or a filter, and a pointwise convolution.
_SECRET_ENDINGS = {
    "token": frozenset({
        "bos", "class", "cls", "dist", "end", "eos", "image", "mask", "max", "min", "num", "pad", "patch", "per", "reg",
        "register", "sep", "special", "start", "unk", "visual",
    }),
    "pass": frozenset({
        "all", "backward", "band", "by", "each", "final", "first", "forward", "high", "last", "low", "multi", "n",
        "num", "one", "per", "render", "second", "single", "two",
    }),
    "pw": frozenset({"act", "bn", "conv", "dw", "exp", "norm"}),
}  # fmt: skip

_ANY_PART = re.compile("|".join(_SECRET_PARTS))
WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def names_secret(key: object, above: str = "") -> bool:
    """Return whether a key, also in dot notation, names a secret whose value must be hidden.

    ``above`` is the last word of the keys above it, from :func:`last_word`: ``key`` under ``api`` is a secret.

    Examples:
        >>> [key for key in ("API_KEY", "authToken", "author", "tokenizer", "max_tokens", "key") if names_secret(key)]
        ['API_KEY', 'authToken']
    """
    for part in str(key).split("."):
        words = _words_of(part)
        if words and _is_secret(words, above):
            return True
        above = words[-1] if words else above
    return False


def last_word(key: object, above: str) -> str:
    """Return the last word of a key; ``above`` if it has none, such as an index."""
    words = _words_of(key)
    return words[-1] if words else above


def _is_secret(words: list[str], above: str) -> bool:
    """Return whether words name a secret, alone or together with the last word of the key above."""
    if _ANY_PART.search("".join(words)) or _SECRET_WORDS.intersection(words):
        return True
    if f"{above}{words[0]}".removesuffix("s") in _SECRET_PARTS:
        return True
    ordinary = _SECRET_ENDINGS.get(words[-1])
    return ordinary is not None and not ordinary.intersection(words)


def _words_of(key: object) -> list[str]:
    """Return the words of a key in lower case, without numbers at its end."""
    words = [word.lower() for word in WORDS.findall(str(key))]
    while words and words[-1].isdigit():
        words.pop()
    return words
