"""Arguments that become a part of an address, a topic or a user: checked before anything is asked for with them."""

import re

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
