"""Hooks where a name is not known: the errors say which one is meant, or what of Keras it is.

What they say is made in _missing.py, which is imported on the first miss.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Self

_F = TypeVar("_F", bound="Callable[..., Any]")
_VARIADIC_KEYWORDS = 0x08  # inspect.CO_VARKEYWORDS


def module_hooks(
    module: str, public: list[str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """__getattr__ and __dir__ of a module: completion shows what is public, and only that."""

    def getattr_(name: str) -> Any:
        raise missing_name(module, name, public)

    def dir_() -> list[str]:
        return sorted(public)

    return getattr_, dir_


def missing_name(module: str, name: str, public: Iterable[str]) -> Exception:
    """What the __getattr__ that calls this raises: AttributeError, or ImportError in a
    `from module import name`, where Python would drop an AttributeError's text."""
    text = f"module {module!r} has no attribute {name!r}"
    if name.startswith("_"):
        return AttributeError(text)
    import opcode

    from . import _missing

    text += _missing.attribute_hint(module.partition(".")[2], name, public)
    frame = sys._getframe(1).f_back
    if frame is not None and frame.f_code.co_code[frame.f_lasti] == opcode.opmap["IMPORT_FROM"]:
        return ImportError(text, name=module)
    return AttributeError(text, name=name)  # without obj, or Python adds a guess of its own


class MissingModules:
    """The last finder of sys.meta_path: answers `import lamina.ops` for Keras's modules."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        package, _, module = name.partition(".")
        if package != __package__:
            return
        from . import _missing

        parent, _, last = module.rpartition(".")
        row = _missing.row_of(parent, last)
        if row is not None:
            text = f"No module named {name!r}: {_missing.answer(last, row)}"
            raise ModuleNotFoundError(text, name=name)


class Named:
    """Base of what is made with keyword arguments: a misspelt one is told apart at once."""

    _more_keywords: Iterable[str] = ()  # those that an __init__ looks for in its **kwargs

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        if kwargs:
            check_keywords(cls, kwargs)
        return super().__new__(cls)


def check_keywords(cls: type[Named], given: dict[str, Any]) -> None:
    """TypeError for a keyword that no __init__ of the class takes. Classes of the user's own that
    take any keywords may do with them what they like."""
    known: set[str] = set()
    for base in cls.__mro__:
        code = getattr(base.__dict__.get("__init__"), "__code__", None)
        if code is None:
            continue
        known.update(code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount])
        if not code.co_flags & _VARIADIC_KEYWORDS:
            break
        if base.__module__.partition(".")[0] != __package__:
            return
        known.update(cls._more_keywords)
    for name in given:
        if name not in known:
            text = f"{cls.__name__}() got an unexpected keyword argument {name!r}"
            raise keyword_error(text, cls.__name__, name, known)


def keyword_error(text: str, function: str, name: str, known: Iterable[str]) -> TypeError:
    from . import _missing

    return TypeError(text + _missing.keyword_hint(function, name, known))


def explained(function: _F) -> _F:
    """A function whose misspelt keyword arguments are told apart.

    A call through it takes about five times as long as an empty one: not for what is called row by
    row. Python 3.13 and later say by themselves which argument is meant.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            traceback = error.__traceback__
            if not kwargs or traceback is None or traceback.tb_next is not None:
                raise  # from within
            code = function.__code__
            known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            for name in kwargs:
                if name not in known:
                    text = str(error).partition(". Did you mean")[0]
                    raise keyword_error(text, function.__name__, name, known) from None
            raise

    return call  # type: ignore[return-value]
