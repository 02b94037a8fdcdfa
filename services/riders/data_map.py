"""Which columns of riders are about a person."""

from shared.kit.privacy.data_map import RIDER_ID, About, Columns, plain

COLUMNS: Columns = {
    "companies": plain("code name"),
    "company_keys": plain("sealed"),
    "outlets": plain("code name address"),
    "riders": {
        **plain("company kind locale"),
        "rider_id": RIDER_ID,
        "external_id": About("number", "the company names its rider by it", "the company, operators", "its hash"),
        "outlet": About("place", "where the rider starts from", "the company, operators", "deleted"),
    },
    "rider_names": {
        "rider_id": RIDER_ID,
        "name": About("name", "the rider's own profile", "the rider, the company, operators", "deleted"),
    },
}
