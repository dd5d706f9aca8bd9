"""Classes of fields, cheap to define and to make: `frozen`, which nobody changes, and `mutable`."""

from __future__ import annotations

from dataclasses import MISSING, Field, make_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

_Class = TypeVar("_Class")

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform

    @dataclass_transform(frozen_default=True, kw_only_default=True)
    def frozen(made: type[_Class]) -> type[_Class]:
        """A dataclass with slots and keyword arguments, compared by its values.

        That nobody changes it is the type checker's business. At run time a frozen dataclass
        takes two and a half times as long to make, a dozen times for each row. And `dataclass`
        writes out the functions of each class when that is defined, most of a millisecond for
        each; here the first object that is made has `__init__` written, and there are many
        classes of which a command makes none.
        """

    @dataclass_transform(kw_only_default=True)
    def mutable(made: type[_Class]) -> type[_Class]:
        """The same for what is changed while it is worked on."""

else:

    def frozen(made):
        names = tuple(made.__annotations__)
        defaults = {name: made.__dict__[name] for name in names if name in made.__dict__}
        parts = {
            name: value
            for name, value in made.__dict__.items()
            if name not in defaults and name not in ("__dict__", "__weakref__")
        }
        parts["__slots__"] = names
        parts["__dataclass_fields__"] = _Fields(dict(made.__annotations__), defaults)
        parts["__init__"] = _init_later(lambda: whole, names, defaults)
        parts["__eq__"], parts["__hash__"] = _equals, _hash
        parts.setdefault("__repr__", _show)
        whole = type(made)(made.__name__, made.__bases__, parts)
        whole.__qualname__ = made.__qualname__
        return whole

    mutable = frozen


class _Fields:
    """What makes a class one of `dataclasses`' (`replace`, `fields`), found out when asked."""

    def __init__(self, kinds: dict[str, Any], defaults: dict[str, Any]) -> None:
        self._kinds = kinds
        self._defaults = defaults

    def __get__(self, one: object, owner: type) -> dict[str, Field[Any]]:
        described = [
            (name, kind, self._defaults[name]) if name in self._defaults else (name, kind)
            for name, kind in self._kinds.items()
        ]
        twin: Any = make_dataclass(owner.__name__, described, kw_only=True)
        owner.__dataclass_fields__ = twin.__dataclass_fields__  # type: ignore[attr-defined]
        return dict(twin.__dataclass_fields__)


def _init_later(whole: Any, names: tuple[str, ...], defaults: dict[str, Any]) -> Any:
    def first(self: Any, /, *misplaced: Any, **given: Any) -> None:
        made = whole()
        made.__init__ = _init(made.__qualname__, names, defaults)
        made.__init__(self, *misplaced, **given)

    return first


def _init(owner: str, names: tuple[str, ...], defaults: dict[str, Any]) -> Any:
    known: dict[str, Any] = {"_absent": MISSING}
    taken, set_to = [], []
    for name in names:
        default = defaults.get(name, MISSING)
        factory = default.default_factory if isinstance(default, Field) else MISSING
        if isinstance(default, Field):
            default = default.default
        known[f"_default_{name}"], known[f"_make_{name}"] = default, factory
        value = name
        if factory is not MISSING:
            taken.append(f"{name}=_absent")
            value = f"_make_{name}() if {name} is _absent else {name}"
        else:
            taken.append(name if default is MISSING else f"{name}=_default_{name}")
        set_to.append(f"    self.{name} = {value}\n")
    star = "*, " if taken else ""
    source = f"def __init__(self, {star}{', '.join(taken)}):\n{''.join(set_to) or '    pass'}\n"
    exec(compile(source, f"<{owner}>", "exec"), known)  # noqa: S102 - names of our own classes
    made = known["__init__"]
    made.__qualname__ = f"{owner}.__init__"
    return made


def _values(one: Any) -> tuple[Any, ...]:
    return tuple([getattr(one, name) for name in one.__slots__])


def _equals(one: Any, other: object) -> bool:
    return _values(one) == _values(other) if type(one) is type(other) else NotImplemented


def _hash(one: Any) -> int:
    return hash(_values(one))


def _show(one: Any) -> str:
    said = (f"{name}={getattr(one, name)!r}" for name in one.__slots__)
    return f"{type(one).__qualname__}({', '.join(said)})"
