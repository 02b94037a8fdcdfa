"""The open data of all stations, made once for everybody until something changes."""

from services.stations.files import open_csv, open_geojson
from services.stations.index import Snapshot, StationIndex


class OpenData:
    """Both files, as of the newest snapshot."""

    def __init__(self, index: StationIndex) -> None:
        self._index = index
        self._csv: tuple[Snapshot, str] | None = None
        self._geojson: tuple[Snapshot, bytes] | None = None

    def csv(self) -> str:
        """A table, with its header."""
        snapshot = self._index.snapshot
        if self._csv is None or self._csv[0] is not snapshot:
            self._csv = snapshot, open_csv(snapshot.stations)
        return self._csv[1]

    def geojson(self) -> bytes:
        """Points, as UTF-8."""
        snapshot = self._index.snapshot
        if self._geojson is None or self._geojson[0] is not snapshot:
            self._geojson = snapshot, open_geojson(snapshot.stations)
        return self._geojson[1]
