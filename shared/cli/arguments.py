"""Arguments that become a part of an address, a topic or a user: checked before anything is asked for with them."""

import re
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from shared.cli.client import CliError
from shared.events.common import CompanyCode
from shared.provision.services import service_names

_CODE = TypeAdapter[str](CompanyCode)
_ID = re.compile("[0-9A-Za-z-]{1,64}")


def code(given: str | None) -> str | None:
    """A company's or city system's code in its plain form; what isn't given stays so.

    Raises:
        CliError: it is none.
    """
    if not given:
        return given
    try:
        return _CODE.validate_python(given)
    except ValidationError as error:
        raise CliError(
            "不是代码 / No code", repr(given), hint="a-z, 0-9, -, at least two; begins with a letter"
        ) from error


def version_id(given: str | None) -> str | None:
    """The id of a version of the areas.

    Raises:
        CliError: it is none.
    """
    if given is not None and not _ID.fullmatch(given):
        raise CliError("不是版本 / No version", repr(given), hint="`beegrid areas versions` shows their ids")
    return given


def service(given: str) -> str:
    """A service of the suite; what isn't given stays so.

    Raises:
        CliError: there is none of this name.
    """
    if given and given not in service_names():
        raise CliError("没有这个服务 / No such service", repr(given), hint=f"one of {', '.join(service_names())}")
    return given


Service = Annotated[str, typer.Argument(help="服务 / the service that holds them", callback=service)]
OneService = Annotated[str, typer.Option(help="only this one's", callback=service)]
Code = Annotated[str, typer.Argument(help="代码 / code: a-z, 0-9, -; begins with a letter", callback=code)]
Password = Annotated[
    str,
    typer.Option(
        envvar="BEEGRID_OUTSIDE_PASSWORD",
        help="密码 / its Kafka password, to try that too; without it another user with the same rights is lent",
    ),
]
Ids = Annotated[list[int] | None, typer.Argument(help="编号 / ids, as the list shows them")]
Reason = Annotated[str, typer.Option(help="原因 / why; kept")]
Apply = Annotated[bool, typer.Option("--apply", help="do it; without this only what would be done is shown")]
PREVIEW = "仅预览，加 --apply 执行 / only a preview: add --apply"
