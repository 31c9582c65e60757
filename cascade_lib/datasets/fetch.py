"""Files from elsewhere: looked for in the cache, in a mirror and at their address, and always checked."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pooch
from tqdm import tqdm

MIRROR = "CASCADE_LIB_MIRROR"

TIMEOUT = (5, 30)  # seconds to connect, and between two pieces of the answer
RETRIES = 2  # after 1 and 2 seconds
LARGE = 4_000_000  # bytes from which a progress bar is worth its line
_PASSING = {408, 425, 429, 500, 502, 503, 504}  # HTTP states that another attempt may mend


def fetch_file(url: str, sha256: str, *, path: str | None = None) -> Path:
    """Return a local copy of the file at `url`, checked against its SHA-256.

    Looked for in this order: the cache, the mirror named by `CASCADE_LIB_MIRROR`, `url` itself. A download that
    fails for a passing reason (a server's error, a cut connection, a body that is too short) is tried three times.

    Parameters
    ----------
    url : str
        Canonical address.
    sha256 : str
        The 64 hexadecimal digits that the file must hash to.
    path : str, optional
        Where the file lies in the cache, relative and with forward slashes, such as
        ``routerbench_sample/reference_data.csv``. The mirror may have it there or under its plain name. Default: the
        last part of `url`. Files that share a plain name need paths of their own.

    Returns
    -------
    pathlib.Path
        ``pooch.os_cache("cascade_lib") / path``. A copy there with another hash is replaced. The file appears under
        this name only once it is complete and checked.

    Raises
    ------
    ConnectionError
        If no source could be reached or had the file. The message says which file, which address and where to put it
        by hand.
    ValueError
        If a source had a file with the wrong hash (a mirror is not silently skipped), or if `path` leads out of the
        cache.

    Examples
    --------
    >>> fetch_file("https://example.org/data.csv", "0" * 64, path="../data.csv")
    Traceback (most recent call last):
    ...
    ValueError: path must be relative and stay in the cache; got '../data.csv'.
    """
    path = _place(url, path)
    target = Path(pooch.os_cache("cascade_lib")) / path
    if _is_it(target, sha256):
        return target
    mirror, names = os.environ.get(MIRROR, "").rstrip("/"), dict.fromkeys((path, PurePosixPath(path).name))
    addresses = [url]
    if mirror.startswith(("http://", "https://")):
        addresses = [*(f"{mirror}/{name}" for name in names), url]
    elif mirror:
        for source in (Path(mirror) / name for name in names):
            if source.is_file():
                return _copy(source, target, sha256)
    return _download(addresses, target, sha256, path)


def have_file(url: str, sha256: str, *, path: str | None = None) -> bool:
    """Return whether `fetch_file` would find the right file in the cache or in a mirror that is a folder.

    Nothing is copied, downloaded or asked for over a network. Parameters as for `fetch_file`.

    Examples
    --------
    >>> have_file("https://example.org/data.csv", "0" * 64)
    False
    """
    path = _place(url, path)
    places, mirror = [Path(pooch.os_cache("cascade_lib")) / path], os.environ.get(MIRROR, "")
    if mirror and not mirror.startswith(("http://", "https://")):
        places += [Path(mirror) / path, Path(mirror) / PurePosixPath(path).name]
    return any(_is_it(place, sha256) for place in places)


def shipped(file: Path, sha256: str) -> bytes:
    """Return the content of a file that comes with the package, provided that it is the one of this version.

    Raises
    ------
    ValueError
        If it has another hash.
    """
    content = file.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(
            f"{file} is not the file this version of cascade_lib was made with (SHA-256 {found}, expected "
            f"{sha256}). Reinstall the package or restore the file."
        )
    return content


def _place(url: str, path: str | None) -> str:
    """Return where a file lies in the cache."""
    path = path or PurePosixPath(urlsplit(url).path).name
    if PurePosixPath(path).is_absolute() or {"..", ""} & set(path.split("/")):
        raise ValueError(f"path must be relative and stay in the cache; got {path!r}.")
    return path


def _is_it(file: Path, sha256: str) -> bool:
    return file.is_file() and pooch.file_hash(str(file)) == sha256


def _copy(source: Path, target: Path, sha256: str) -> Path:
    """Copy a mirrored file into the cache, checking the copy before it gets its name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with pooch.utils.temporary_file(path=str(target.parent)) as part:
        shutil.copyfile(source, part)
        found = pooch.file_hash(part)
        if found != sha256:
            raise ValueError(f"{source} is not the expected file: its SHA-256 is {found}, expected {sha256}.")
        os.replace(part, target)
    return target


def _download(addresses: list[str], target: Path, sha256: str, path: str) -> Path:
    """Try the addresses in turn; `pooch` retries, checks, and renames only what it has checked."""
    reasons = []
    for address in addresses:
        source = pooch.create(
            target.parent, base_url="", registry={target.name: f"sha256:{sha256}"}, urls={target.name: address},
            retry_if_failed=RETRIES,
        )  # fmt: skip
        try:
            with _quiet():
                return Path(source.fetch(target.name, downloader=_get))
        except ValueError as error:
            raise ValueError(f"{path} from {address} is not the expected file: {error}") from error
        except OSError as error:  # every failure of requests and of the network is an OSError
            gone = isinstance(error, FileNotFoundError)
            reasons.append(f"{address}: {error if gone or _status(error) else type(error).__name__}")
    url = addresses[-1]
    raise ConnectionError(
        f"{path} could not be fetched ({'; '.join(reasons)}). Download {url} by some other way and save it as "
        f"{target}, or as {path} in a folder of your choice that the environment variable {MIRROR} names."
    )


def _get(url: str, part: str, source: pooch.Pooch) -> None:
    """Download once. What no repetition mends is raised as an error that `pooch` does not retry."""
    download = pooch.HTTPDownloader(progressbar=_Progress(PurePosixPath(urlsplit(url).path).name), timeout=TIMEOUT)
    try:
        download(url, part, source)
    except OSError as error:
        if (_status(error) or 503) not in _PASSING:
            raise FileNotFoundError(f"HTTP {_status(error)}") from error
        raise


def _status(error: OSError) -> int | None:
    """Return the HTTP status of an error of requests, if it came to one."""
    return getattr(getattr(error, "response", None), "status_code", None)


class _Progress:
    """A progress bar as `pooch` wants one, which shows itself for large files only."""

    def __init__(self, name: str) -> None:
        self.name, self.total = name, 0
        self._bar: tqdm | None = None

    def update(self, size: int) -> None:
        if self.total >= LARGE:
            self._bar = self._bar or tqdm(total=self.total, desc=self.name, unit="B", unit_scale=True)
            self._bar.update(size)

    def reset(self) -> None:
        if self._bar is not None:
            self._bar.reset()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep `pooch` from announcing each download; what goes wrong is raised anyway."""
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
