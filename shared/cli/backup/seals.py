"""Whether a suite's sealing keys open what a backup holds: the keys themselves are in no backup."""

from shared.cli import sealing
from shared.cli.client import CliError, connect


def needed() -> list[str] | None:
    """Ids of the keys under which this suite's secrets are sealed, sorted. None: its services don't answer."""
    try:
        found = sealing.ask(connect(patient=False))
    except CliError:
        return None
    return sorted({key["id"] for answer in found.values() for key in answer["sealing"] if key["secrets"]})


def check(wanted: list[str] | None) -> str | None:
    """Ask the suite for its keys. Returns what could not be checked, None where all of `wanted` are there.

    Raises:
        CliError: it lacks one, so that companies could not be served after a restore.
    """
    if wanted is None:
        return "the services could not be asked when the backup was taken"
    if not wanted:
        return None
    try:
        found = sealing.ask(connect(patient=False))
    except CliError as error:
        return str(error)
    held = [{one["id"] for one in answer["sealing"]} for answer in found.values()]
    lacking = {key for keys in held for key in wanted if key not in keys}
    if lacking:
        raise CliError(
            "封存密钥不符 / This suite's sealing key doesn't open what the backup holds",
            f"needed: {', '.join(sorted(lacking))}",
            hint=f"nothing was written; add the former suite's key (its secrets.json has it) to the end of "
            f"{sealing.SETTING} of all services, restart, then run the same again; --unsealed if that key is lost",
        )
    return None
