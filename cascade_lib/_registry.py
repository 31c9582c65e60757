"""Classes by their name, so that files can name them and lists of them need not be kept by hand."""

from __future__ import annotations

from importlib import import_module
from typing import Generic, TypeVar

T = TypeVar("T")


class Registry(Generic[T]):
    """The classes of one kind: those of a room of this library, and those of authors elsewhere.

    Parameters
    ----------
    room : str
        The package whose public names are loaded before anything is looked up.
    """

    def __init__(self, room: str) -> None:
        self._room = room
        self._kinds: dict[str, type[T]] = {}

    def add(self, kind: type[T]) -> None:
        """Register a class, unless its name begins with an underscore; one that is defined again replaces the first.

        Raises
        ------
        TypeError
            If another class of this name is registered: a file could mean either.
        """
        other = self._kinds.get(kind.__name__, kind)
        if (other.__module__, other.__qualname__) != (kind.__module__, kind.__qualname__):
            raise TypeError(
                f"there is a class {kind.__name__} already, {other.__module__}.{other.__qualname__}: give the one in "
                f"{kind.__module__} another name, or one that begins with _, which is not registered."
            )
        if not kind.__name__.startswith("_"):
            self._kinds[kind.__name__] = kind

    def all(self) -> dict[str, type[T]]:
        """Return all classes by name, in the order in which they were defined."""
        room = import_module(self._room)
        for name in room.__all__:
            getattr(room, name)
        return dict(self._kinds)
