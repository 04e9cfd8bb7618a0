"""Make the parameters of commands from the declarations of fields."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import typer

from pipeline.fields import Model

from .fields import Setting, settings_of

Given = Mapping[str, Any]
"""Values of options by the names of their fields; None: not given."""

Command = Callable[..., None]


def takes(model: type[Model]) -> Callable[[Command], Command]:
    """Have a command take an option for each field of a model in place of its parameter `given: Given`.

    No option has a default of its own: the model alone knows the defaults, and the help repeats them.
    """

    def with_options(command: Command) -> Command:
        settings, own = settings_of(model), inspect.signature(command, eval_str=True)

        @wraps(command)
        def call(**values: Any) -> None:
            command(given={each.name: values.pop(each.name) for each in settings}, **values)

        parameters = list[inspect.Parameter]()
        for parameter in own.parameters.values():
            simple = (parameter_of(each) for each in settings if not each.mark.advanced)
            parameters += simple if parameter.name == "given" else [parameter]
        parameters += (parameter_of(each) for each in settings if each.mark.advanced)
        parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
        call.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {each.name: each.annotation for each in parameters}
        return call

    return with_options


def parameter_of(setting: Setting) -> inspect.Parameter:
    """Return the parameter of a command for a field."""
    annotation = Annotated[_type_of(setting) | None, parameter_info(setting)]  # type: ignore[valid-type]
    default = inspect.Parameter.empty if setting.field.is_required() else None
    return inspect.Parameter(setting.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def parameter_info(setting: Setting, *, least: int | None = None) -> Any:
    """Return typer's description of an option or argument.

    Args:
        setting: The field.
        least: Smallest value, for a command without a model that checks it.
    """
    if setting.is_argument:
        return typer.Argument(metavar=setting.option, help=setting.help)
    return typer.Option(
        setting.option,
        metavar=setting.mark.metavar,
        help=setting.help,
        show_default=setting.default or False,
        rich_help_panel=setting.section or None,
        min=least,
    )


def setting_of(model: type[Model], name: str) -> Setting:
    """Return one field of a model as an option."""
    return next(each for each in settings_of(model) if each.name == name)


def _type_of(setting: Setting) -> Any:
    """Return the type of a field's values on the command line: text where the field has a choice of types."""
    annotation = setting.field.annotation
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    kinds = tuple(
        get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in kinds if kind is not NoneType
    )
    return kinds[0] if len(kinds) == 1 else str
