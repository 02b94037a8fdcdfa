"""Which columns of intake are about a person."""

from shared.kit.privacy.data_map import RIDER_ID, About, Columns, plain

PLACE = About("place", "where the photo was taken, from its EXIF", "the rider", "deleted with the photo")
COLUMNS: Columns = {
    "reports": {
        **plain("company kind"),
        "rider_id": RIDER_ID,
        "source": About("id", "whose numbering the report's number belongs to", "the service", "stays: a bare id"),
        "external_id": About("number", "a report is accepted once per number", "its sender", "replaced"),
        "content_hash": About("words", "tells a repetition from other content", "the service", "emptied"),
    },
    "photos": {
        **plain("state"),
        "owner": About("id", "who may use the photo", "the service", "deleted, with both objects"),
        "sha256": About("photo", "the same upload is kept once", "the service", "deleted"),
        "phash": About("photo", "finds reports that show one thing", "the service", "deleted"),
        "leaver": RIDER_ID,
        "lng": PLACE,
        "lat": PLACE,
    },
    "photo_cases": plain("grids"),
}
