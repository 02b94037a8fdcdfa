# One image for every service and job (and `dev`, with tools, for compose alone); the module is the command:  docker run beegrid services.intake
# shared/devtools/kube_check/image.py runs the uv steps below as another user in a clean folder.

FROM ghcr.io/astral-sh/uv:0.13.9 AS uv

FROM python:3.11-slim-trixie AS build
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never \
    UV_PROJECT_ENVIRONMENT=/opt/beegrid
WORKDIR /src
# Packages first: this layer changes only with the lock file.
COPY pyproject.toml uv.lock ./
RUN --mount=type=cache,target=/root/.cache/uv uv sync --frozen --no-dev --no-install-project --no-build
COPY README.md ./
COPY shared ./shared
COPY services ./services
# A checkout may be readable by its owner alone; the image's user is another one.
RUN chmod -R u=rwX,go=rX shared services
# `--refresh-package`: uv knows a wheel of ours by pyproject.toml alone, and would take that of an earlier build out of
# the cache, whatever has changed in the sources.
RUN --mount=type=cache,target=/root/.cache/uv uv sync --locked --no-dev --no-editable --refresh-package beegrid
# Asked by its file, so that no package is looked for.
RUN ln -s lib/python3.11/site-packages/shared/kit/probe.py /opt/beegrid/probe.py

FROM python:3.11-slim-trixie AS runtime
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="BeeGrid" \
      org.opencontainers.image.description="Riders as the eyes of the city: reports, cases, points and rewards on Kafka" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The folders are for volumes of compose, which take over owner and rights; /work is the toolbox's.
RUN groupadd --gid 10001 beegrid \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin beegrid \
    && install -d -o 10001 -g 10001 -m 0755 /var/lib/beegrid/identity \
    && install -d -o 10001 -g 10001 -m 0700 /work
COPY --from=build /opt/beegrid /opt/beegrid
ENV PATH=/opt/beegrid/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    BEEGRID_HTTP_HOST=0.0.0.0 \
    BEEGRID_HTTP_PORT=8080
WORKDIR /tmp
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=180s --start-interval=1s --retries=3 \
    CMD ["python", "-I", "-S", "/opt/beegrid/probe.py", "/readyz"]
ENTRYPOINT ["python", "-m"]
CMD ["shared.cli.main", "--help"]

# Compose's issuer of tokens and its demo: `docker build --target dev`. No cluster and no other container has it.
FROM runtime AS dev
USER 0:0
RUN install -d -o 10001 -g 10001 -m 0700 /var/lib/beegrid/issuer
COPY --from=build /src/shared/devtools /opt/beegrid/lib/python3.11/site-packages/shared/devtools
USER 10001:10001

# Last, so that it is what is built where no target is named: it has no tools and no issuer.
FROM runtime AS production
