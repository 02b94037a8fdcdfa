"""How many processes of a service the suite on this machine runs: asked for in a file, by `beegrid scale`.

The front door knows the first process of each service; the others share its topics.
"""

from pathlib import Path

from rich.console import Console

from shared.cli.scale import ask, names, wanted
from shared.devtools.infra.errors import InfraError
from shared.devtools.suite import Suite


def follow(suite: Suite, folder: Path, console: Console) -> None:
    """Start and stop processes until there are as many as asked for; then list them in suite.json."""
    asked = wanted(folder)
    should = {
        name: service for service in suite.installation.services for name in names(service, asked.get(service, 1))
    }
    leaving = [suite.services.pop(name) for name in suite.services.keys() - should.keys()]
    coming = {name: should[name] for name in should if name not in suite.services}
    if not (leaving or coming):
        return
    for process in leaving:
        process.stop()
        console.print(f"{process.spec.name} 已停止 / has stopped")
    for name, service in coming.items():
        try:
            # Without a name of its own in the group: when it leaves, its partitions go to the others at once.
            suite.add(service, name, {"BEEGRID_KAFKA_INSTANCE_ID": ""})
            console.print(f"{name} 已启动 / has started")
        except InfraError as error:
            if (failed := suite.services.pop(name, None)) is not None:
                failed.stop()
            ask(folder, service, len([one for one in suite.services.values() if one.service == service]))
            console.print(f"[red]{error}")
    suite.write_address(folder / "suite.json")
