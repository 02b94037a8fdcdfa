"""Which columns of routing are about a person."""

from shared.kit.privacy.data_map import STAFF, About, Columns, plain

COLUMNS: Columns = {
    "area_versions": {**plain("label level datum state"), "created_by": STAFF},
    "areas": plain("code level name parent_code polygon"),
    "catalogue_entries": plain("entry body"),
    "activations": {"activated_by": STAFF},
    "responsibilities": {**plain("department_kind area_code department name"), "changed_by": STAFF},
    "routes": {**plain("outcome reason grid_code alternatives department"), "assigned_by": STAFF},
    "unroutable": {
        **plain("reason near"),
        "report": About(
            "words",
            "a person names the grid of a report that the map doesn't place",
            "dispatchers, operators",
            "without words, photos and number; the place rounded to 10 m",
        ),
    },
}
