"""URIs: what counts as one, how it is shown, and the file system that reads it."""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from posixpath import splitext
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from cmirnet_cli.errors import UsageError

_URI = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://")
TAR, PARQUET = (".tar", ".tar.gz", ".tgz"), (".parquet",)
"""Suffixes of files that hold many images."""
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "http": "http", "https": "http"}
"""Scheme → the extra that brings its driver."""
_OF_BUCKETS = frozenset({"s3", "s3a", "gs", "gcs"})
"""Schemes whose first part is a bucket, or the ARN of an access point; it has no port."""
_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(:\d{1,5})?")

_SIGNATURES = frozenset({"sig", "sign", "signature", "hmac"})
_SECRETS = frozenset(
    {
        *("token", "access_token", "auth_token", "id_token", "refresh_token", "security-token", "jwt", "auth", "authorization"),
        *("api_key", "apikey", "api-key", "access_key", "secret", "client_secret", "password", "passwd", "pwd"),
        *("awsaccesskeyid", "googleaccessid", "ossaccesskeyid", "key-pair-id", "hdnea", "hdnts", "hdntl", "__token__", "__gda__"),
        *("expires", "expiry"),
    }
)
"""Parameters of web addresses, in lower case, that are secret, or name an owner or an end. A plain `key` often names a file."""
_SIGNING_PREFIXES = ("x-amz-", "x-goog-", "x-oss-", "x-cos-", "q-sign", "q-ak", "q-key-time", "q-header-list", "q-url-param-list", "oauth_")
_BESIDE_SIGNATURES = frozenset(
    {"policy", *("se", "sp", "sv", "sr", "st", "spr", "sip", "ss", "srt", "sdd", "skoid", "sktid", "skt", "ske", "sks", "skv")}
)
"""Parameters that belong to a signature where there is one, and mean something else without: the rest of CloudFront's, S3's and Azure's."""


def is_uri(text: str) -> bool:
    """Whether a text is a URI and no local path, such as `s3://bucket/photos` or `file:///photos`."""
    return _URI.match(text) is not None


def scheme_of(uri: str) -> str:
    """The scheme of a URI in lower case; empty for a local path."""
    found = _URI.match(uri)
    return found["scheme"].lower() if found else ""


def is_web(uri: str) -> bool:
    """Whether a URI is an address on the web: it may have a query, and no wildcards."""
    return uri[:5].lower() == "http:" or uri[:6].lower() == "https:"


def shown(uri: str) -> str:
    """A URI without what may be secret: user and password, and the query of a web address. A path stays as it is.

    A key of S3 may hold slashes, and so may a password that a user types; then everything up to the last `@` goes.
    """
    found = _URI.match(uri)
    if not found:
        return uri
    scheme, rest = found[0], uri[found.end() :]
    if is_web(uri):
        scheme, rest = scheme.lower(), re.split("[?#]", rest, maxsplit=1)[0]
    first, slash, path = rest.partition("/")
    user, _, host = first.rpartition("@")
    if user and (":" in user or is_web(uri)):
        return f"{scheme}{host}{slash}{path}"
    names_host = first.startswith("arn:") or (scheme_of(uri) not in _OF_BUCKETS and _HOST.fullmatch(first))
    if not user and "@" in uri and ":" in first and not names_host:
        return scheme + (rest.rpartition("@")[2] if "@" in rest else "")
    return scheme + rest


def with_query_digest(uri: str) -> str:
    """A URI as `shown` has it. Where the query of a web address names an image, the last part gets ten digits of a digest of that query.

    `https://example.org/img.jpg?id=7&sig=…` gives `https://example.org/img-….jpg`. A signature changes no digit.
    """
    query = uri.partition("#")[0].partition("?")[2] if is_web(uri) else ""
    fields = parse_qsl(query, keep_blank_values=True, errors="surrogateescape")
    signed = any(name.lower() in _SIGNATURES for name, _ in fields)
    telling = sorted(field for field in fields if not _signs(field[0].lower(), signed=signed))
    return marked(shown(uri), ten_digits(json.dumps(telling))) if telling else shown(uri)


def _signs(name: str, *, signed: bool) -> bool:
    """Whether a parameter of a web address is a secret, or goes with a signature."""
    return name in _SIGNATURES or name in _SECRETS or name.startswith(_SIGNING_PREFIXES) or (signed and name in _BESIDE_SIGNATURES)


def marked(name: str, mark: str) -> str:
    """A path or URI with a mark in its last part, before the suffix."""
    folder, slash, last = name.rpartition("/")
    stem, suffix = splitext(last)
    return f"{folder}{slash}{stem}-{mark}{suffix}"


def ten_digits(text: str) -> str:
    """Ten hexadecimal digits of a text's sha256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]


def path_of(uri: str) -> str:
    """The path of a URI below its scheme, as `bucket/photos/cup.jpg` or `example.org/cup.jpg`; see `with_query_digest`."""
    return with_query_digest(uri).split("://", 1)[-1].strip("/")


def is_container(path: str) -> bool:
    """Whether a path or URI names an archive or a parquet file, by its suffix."""
    return (shown(path) if is_web(path) else path).lower().endswith((*TAR, *PARQUET))


def local_path(uri: str) -> str:
    """The path on this machine that a `file://` URI names; anything else as it is."""
    return unquote(urlsplit(uri).path) if scheme_of(uri) == "file" else uri


def joined(folder: str, name: str) -> str:
    """The URI or path of something in a folder."""
    return f"{folder.rstrip('/')}/{name}"


@lru_cache(maxsize=64)
def driver(scheme: str) -> Any:
    """The class of fsspec's file system for a scheme.

    Raises:
        UsageError: fsspec does not know the scheme, or its driver is not installed.
    """
    from fsspec.registry import get_filesystem_class

    try:
        return get_filesystem_class(scheme)
    except ImportError as error:
        extra = _EXTRAS.get(scheme)
        command = f"pip install 'cmirnet[{extra}]'" if extra else f"install the package that fsspec needs for {scheme}://"
        raise UsageError(f"{scheme}:// cannot be read here: {error}", hint=command) from error
    except ValueError as error:
        raise UsageError(
            f"{scheme}:// is no address that fsspec knows", hint="use s3://, gs://, hf://, https://, or a path on this machine"
        ) from error


def file_system(uri: str) -> tuple[Any, str]:
    """The file system of a URI, and the path there, without a slash at its end.

    Raises:
        UsageError: as for `driver`, or the driver's own settings are wrong.
    """
    kind = driver(scheme_of(uri))
    try:
        system, path = kind(**kind._get_kwargs_from_urls(uri)), str(kind._strip_protocol(uri))
    except (TypeError, ValueError) as error:
        hint = "check the address and the settings of fsspec"
        raise UsageError(f"{shown(uri)} cannot be opened: {type(error).__name__}", hint=hint) from None
    return system, path if is_web(uri) else path.rstrip("/")


def no_bucket(uri: str) -> UsageError:
    """The error that a URI is only a scheme."""
    return UsageError(f"{shown(uri)} names no bucket", hint=f"write {scheme_of(uri)}://BUCKET/FOLDER")


def canonical(uri: str) -> str:
    """A URI as listings write it, without a slash at its end."""
    system, path = file_system(uri)
    return str(system.unstrip_protocol(path)).rstrip("/")
