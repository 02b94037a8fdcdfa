"""Parts of Caddyfile, docker-compose.yml and .env.example that name services, from what each declares."""

from pathlib import Path
from textwrap import indent

from shared.devtools.gen.files import Generated
from shared.devtools.gen.regions import filled
from shared.devtools.kube.routes import paths_of
from shared.kit.about import Secret, Size
from shared.provision.services import about, in_place, service_names

ASKED = "run make env"
PHOTO_STORE = f"""\
BEEGRID_PHOTO_STORE_URL: s3://photos/reports
AWS_ENDPOINT_URL: http://objects:3900
AWS_ALLOW_HTTP: "true"
AWS_REGION: garage
AWS_ACCESS_KEY_ID: ${{PHOTO_STORE_KEY_ID:?{ASKED}}}
AWS_SECRET_ACCESS_KEY: ${{PHOTO_STORE_SECRET:?{ASKED}}}
"""
# Of each service: the role that owns its schema, the role it runs as, its Kafka user
PASSWORDS = ("OWNER", "APP", "KAFKA")


def routes(root: Path) -> str:
    """Caddy's matcher and proxy of each service; services of a Kubernetes cluster have an HTTPRoute of the same."""
    return "\n".join(
        f"@{name} path {' '.join(paths_of(name))}\n"
        f"handle @{name} {{\n\timport service {{${name.upper()}_HOST:{name}}} {{${name.upper()}_PORT:8080}}\n}}\n"
        for name in in_place(root)
    )


def _password(service: str, use: str) -> str:
    return f"${{{service.upper()}_{use}_PASSWORD:?{ASKED}}}"


def container(service: str) -> str:
    """A service in docker-compose.yml. What all services have is in its anchors."""
    said = about(service)
    environment = f"""\
<<: *kit
BEEGRID_POSTGRES_DSN: postgresql://{service}_app:{_password(service, "APP")}@postgres:5432/beegrid
BEEGRID_KAFKA_USERNAME: {service}
BEEGRID_KAFKA_PASSWORD: {_password(service, "KAFKA")}
"""
    if Secret.SEALING_KEY in said.secrets:
        environment += f"BEEGRID_SEALING_KEY: ${{SEALING_KEY:?{ASKED}}}\n"
    photos = Secret.PHOTO_STORE in said.secrets
    if photos:
        environment += PHOTO_STORE
    environment += "".join(f"{name}: ${{{name}:-{value}}}\n" for name, value in said.demo.items())
    parts = f"<<: *service\ncommand: [services.{service}]\nenvironment:\n{indent(environment, '  ')}"
    if photos:
        parts += "depends_on:\n  <<: *after-setup\n  objects: {condition: service_healthy}\n"
    if said.size.alone_mi != Size().alone_mi:
        parts += f'deploy:\n  resources:\n    limits: {{cpus: "1.0", memory: {said.size.alone_mi}m}}\n'
    return f"{service}:\n{indent(parts, '  ')}"


def generate(root: Path) -> Generated:
    """Three files, with the parts between their marks written from the declarations."""
    services = service_names(root)
    given = [(name, use) for name in services for use in PASSWORDS]
    regions = {
        "Caddyfile": {"services": routes(root)},
        "docker-compose.yml": {
            "services": "\n".join(map(container, services)),
            "passwords": "".join(f"BEEGRID_PASSWORD_{n.upper()}_{use}: {_password(n, use)}\n" for n, use in given),
            "waits": "".join(f"{name}: {{condition: service_healthy}}\n" for name in services),
        },
        ".env.example": {"passwords": "".join(f"{name.upper()}_{use}_PASSWORD=\n" for name, use in given)},
    }
    return Generated(
        files={
            name: filled((root / name).read_text(encoding="utf-8"), bodies, name) for name, bodies in regions.items()
        }
    )
