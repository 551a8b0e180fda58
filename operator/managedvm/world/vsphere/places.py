"""Where things are: the tree of datacenters and folders, and paths through it. No path is stored, so none grows old."""

from collections.abc import Collection, Hashable, Iterator, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_DEEPEST = 64
"""Levels of folders; more than vCenter has, so that a tree in the middle of a move cannot trap us."""


class Index(Generic[K]):
    """References by a key that should be unique and may for a while not be. One reference takes no container."""

    def __init__(self) -> None:
        self._found: dict[K, str | tuple[str, ...]] = {}

    def add(self, key: K, moref: str) -> None:
        """Note that the object is found under the key."""
        others = self.at(key)
        self._found[key] = (*others, moref) if others else moref

    def remove(self, key: K, moref: str) -> None:
        """Forget it there again."""
        others = tuple(other for other in self.at(key) if other != moref)
        if not others:
            self._found.pop(key, None)
        else:
            self._found[key] = others if len(others) > 1 else others[0]

    def at(self, key: K) -> tuple[str, ...]:
        """Return the references found under the key."""
        found = self._found.get(key, ())
        return (found,) if isinstance(found, str) else found


class Places:
    """The datacenters and folders of one vCenter, below `root`."""

    def __init__(self) -> None:
        self.root = ""
        self._nodes: dict[str, tuple[str, str]] = {}
        self._children: Index[tuple[str, str]] = Index()

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def put(self, moref: str, values: Mapping[str, str]) -> bool:
        """Take in a new name or parent; return whether that is news."""
        old = self._nodes.get(moref)
        name, parent = old or ("", "")
        new = (values.get("name", name), values.get("parent", parent))
        if new == old:
            return False
        if old is not None:
            self._children.remove((old[1], old[0]), moref)
        self._nodes[moref] = new
        self._children.add((new[1], new[0]), moref)
        return True

    def drop(self, moref: str) -> None:
        """Forget a place."""
        node = self._nodes.pop(moref, None)
        if node is not None:
            self._children.remove((node[1], node[0]), moref)

    def path(self, parent: str, name: str) -> str:
        """Return the path of what is called `name` in `parent`; empty while a folder above it is not known."""
        names = [name]
        for _ in range(_DEEPEST):
            if parent == self.root:
                return "/" + "/".join(reversed(names))
            node = self._nodes.get(parent)
            if node is None:
                break
            names.append(node[0])
            parent = node[1]
        return ""

    def parents_of(self, path: str) -> tuple[tuple[str, ...], str]:
        """Return the folders that `path` may lead into (one, unless names are doubled) and the name in them."""
        start, *names = path.split("/")
        if start or not names:
            return (), ""
        found: tuple[str, ...] = (self.root,)
        for folder in names[:-1]:
            found = tuple(child for parent in found for child in self._children.at((parent, folder)))
        return found, names[-1]

    def is_within(self, moref: str, ancestors: Collection[str]) -> bool:
        """Return whether a place is one of `ancestors`, or inside of one."""
        for _ in range(_DEEPEST):
            if moref in ancestors:
                return True
            node = self._nodes.get(moref)
            if node is None:
                break
            moref = node[1]
        return False
