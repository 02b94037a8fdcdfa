"""The demo city's stations are the same every time, lie in their grids, and are what the service takes."""

import shapely

from services.stations.domain.details import faults_of
from services.stations.files import parse
from services.stations.taxonomy_files import load
from shared.synthetic.city import grids
from shared.synthetic.stations import SPECIAL, STATIONS, as_csv, plan


def test_six_hundred_of_which_thirty_are_special() -> None:
    planned = plan()
    assert planned == plan() and planned != plan(seed=1)
    rows, faults = parse(as_csv(planned), "csv")
    assert (len(rows), faults) == (STATIONS, [])
    taxonomy, codes = load(), {area.code: area for area in grids()}
    for row in rows:
        assert not list(faults_of(row.said, taxonomy, codes.__contains__)), row
        near = shapely.Point(row.said.lng, row.said.lat).buffer(0.001)
        assert near.intersects(codes[row.said.area_code].polygon)
    assert sum(not taxonomy.special.isdisjoint(row.said.services) for row in rows) == SPECIAL
    assert {row.said.kind for row in rows} == set(taxonomy.kinds) - {"other"}
    assert all(row.said.phone == "" for row in rows), "nobody's own number is invented"
