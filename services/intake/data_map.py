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
    "waiting_reports": {
        **plain("company topic code"),
        "external_id": About("number", "a number waits once", "the service", "goes within a moment"),
        "rider": About("number", "whom the report waits for", "the service", "goes within a moment"),
        "mark": About("number", "finds the reports of one rider", "the service", "goes within a moment"),
        "content_hash": About("words", "tells a repetition from other content", "the service", "emptied"),
        "key": About("number", "the record's key as it came", "the service", "emptied"),
        "value": About("words", "the record, to be handled when the rider comes", "the service", "emptied"),
        "headers": About("number", "the record's headers as they came", "the service", "emptied"),
    },
    "photo_cases": plain("grids"),
}
