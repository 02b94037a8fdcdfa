"""The map as one file for maps: made once for everybody, kept packed, sent in pieces.

A city's map is tens of megabytes and every signed-in person may ask for it, so nobody's question builds one of its own:
one is built at a time, a chunk of grids at a time, and what is kept is bounded.
"""

import asyncio
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from uuid import UUID

import orjson
import shapely

from services.routing.domain import NOTICE, Area, AreaMap
from shared.geo.index import PolygonIndex
from shared.kit.areas import AreaTree

MEDIA_TYPE = "application/geo+json"
KEPT_MAX = 16
KEPT_BYTES_MAX = 32_000_000
"""Of all that are kept, packed; the one that was asked for last is kept whatever its size."""
GRIDS_AT_ONCE = 500
PIECE_BYTES = 64 * 1024
_GZIP = zlib.MAX_WBITS | 16
_LEVEL = 5


class Exports:
    """The grids of the map in force as packed GeoJSON: of the city, and of the areas that were asked for last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str | None, bytes] = OrderedDict()
        self._of: tuple[UUID | None, AreaTree] | None = None
        self._building = asyncio.Lock()

    async def get(self, areas: AreaMap, tree: AreaTree, within: str | None) -> bytes:
        """All grids of an area, or of the city, as a GeoJSON FeatureCollection in gzip."""
        if (found := self._found(areas, tree, within)) is not None:
            return found
        async with self._building:
            if (found := self._found(areas, tree, within)) is not None:
                return found
            made = await asyncio.to_thread(_packed, areas, tree, within)
            self._keep(areas, tree, within, made)
        return made

    def _found(self, areas: AreaMap, tree: AreaTree, within: str | None) -> bytes | None:
        if self._of is None or self._of[0] != areas.version_id or self._of[1] is not tree:
            return None
        if (found := self._kept.get(within)) is not None:
            self._kept.move_to_end(within)
        return found

    def _keep(self, areas: AreaMap, tree: AreaTree, within: str | None, made: bytes) -> None:
        if self._of is None or self._of[0] != areas.version_id or self._of[1] is not tree:
            self._kept.clear()
            # the tree too: a process knows a new map's areas a moment after the map
            self._of = (areas.version_id, tree)
        self._kept[within] = made
        while len(self._kept) > KEPT_MAX or (len(self._kept) > 1 and self.kept_bytes > KEPT_BYTES_MAX):
            self._kept.popitem(last=False)

    @property
    def kept_bytes(self) -> int:
        """What is kept, packed."""
        return sum(map(len, self._kept.values()))


def pieces(packed: bytes) -> Iterator[bytes]:
    """What is sent at once, as it is kept."""
    view = memoryview(packed)
    yield from (bytes(view[at : at + PIECE_BYTES]) for at in range(0, len(packed), PIECE_BYTES))


def unpacked(packed: bytes) -> Iterator[bytes]:
    """The same for who takes no gzip, never whole."""
    unpacker = zlib.decompressobj(_GZIP)
    for piece in pieces(packed):
        pending = piece
        while pending:
            yield unpacker.decompress(pending, PIECE_BYTES)
            pending = unpacker.unconsumed_tail
    while not unpacker.eof:
        yield unpacker.decompress(b"", PIECE_BYTES)


def _packed(areas: AreaMap, tree: AreaTree, within: str | None) -> bytes:
    packer = zlib.compressobj(_LEVEL, wbits=_GZIP)
    packed = b"".join(packer.compress(part) for part in _parts(areas, tree, within))
    return packed + packer.flush()


def _parts(areas: AreaMap, tree: AreaTree, within: str | None) -> Iterator[bytes]:
    index = areas.locator if isinstance(areas.locator, PolygonIndex) else None
    chosen = [number for number, grid in enumerate(areas.grids) if within is None or tree.covers(within, grid.code)]
    fictional = any(areas.grids[number].fictional for number in chosen)
    head = orjson.dumps(
        {
            "type": "FeatureCollection",
            "version_id": None if areas.version_id is None else str(areas.version_id),
            "fictional": fictional,
            "notice": NOTICE if fictional else None,
            "features": [],
        }
    )
    yield head.removesuffix(b"]}")
    for at in range(0, len(chosen) if index is not None else 0, GRIDS_AT_ONCE):
        numbers = chosen[at : at + GRIDS_AT_ONCE]
        polygons = list(index.polygons(numbers)) if index is not None else []
        features = _features(areas, [areas.grids[number] for number in numbers], polygons)
        yield b"," * (at > 0) + features[1:-1]
    yield b"]}"


def _features(areas: AreaMap, grids: Sequence[Area], polygons: Sequence[shapely.Geometry]) -> bytes:
    return orjson.dumps(
        [
            {
                "type": "Feature",
                "id": grid.code,
                "properties": {
                    "code": grid.code,
                    "name": grid.name,
                    "level": grid.level,
                    "parent_code": grid.parent_code,
                    "path": areas.paths[grid.code],
                    "fictional": grid.fictional,
                    "notice": NOTICE if grid.fictional else None,
                },
                "geometry": orjson.Fragment(geometry),
            }
            for grid, geometry in zip(grids, shapely.to_geojson(polygons), strict=True)
        ]
    )
