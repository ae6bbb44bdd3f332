"""Whether classes have the members that a protocol writes down."""

import inspect
import typing


def deviations(cls, protocol, instance=None):
    """How a class differs from a protocol: list of str.

    Methods must take the same parameters, by name, kind and default; further ones must have a default. Attributes must
    be there, if not in the class then in an instance.
    """
    found = []
    for name in members(protocol):
        expected = inspect.getattr_static(protocol, name, None)
        actual = inspect.getattr_static(cls, name, None)
        if not hasattr(cls, name) and not hasattr(instance, name):
            found.append(f"{name} is missing")
        elif callable(getattr(expected, "__func__", expected)):
            if not callable(getattr(cls, name, None)):
                found.append(f"{name} is no method")
                continue
            takes, should = signature(cls, name), signature(protocol, name)
            further = list(takes.parameters.values())[len(should.parameters) :]
            same = [told(p) for p in takes.parameters.values()][: len(should.parameters)] == [
                told(p) for p in should.parameters.values()
            ]
            if not same or any(p.default is p.empty for p in further):
                found.append(f"{name} takes {takes}, and should take {bare(should)}")
            if isinstance(expected, (classmethod, staticmethod)) and not isinstance(
                actual, (classmethod, staticmethod, type(None))
            ):
                found.append(f"{name} needs an instance")
    return found


def members(protocol):
    """Names of what a protocol asks for, those it inherits included."""
    names = {}
    for cls in reversed(protocol.__mro__):
        if cls not in (object, typing.Protocol, typing.Generic):
            names |= dict.fromkeys(typing.get_type_hints(cls) if "__annotations__" in vars(cls) else ())
            names |= dict.fromkeys(name for name in vars(cls) if not name.startswith("_"))
    return list(names)


def signature(cls, name):
    return inspect.signature(getattr(cls, name))


def told(parameter):
    """What of a parameter matters to who calls."""
    return parameter.name, parameter.kind, parameter.default


def bare(signature):
    """A signature without annotations, as code here is written."""
    parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return signature.replace(parameters=parameters, return_annotation=signature.empty)
