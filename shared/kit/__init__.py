"""What every service needs and no business word, in packages by subject (docs/adr/0055-the-kit-by-subject.md).

`consuming` and `publishing` are the two ways over Kafka, `letters` what can't take effect, `messaging` what they share;
`postgres`, `privacy`, `telemetry`, `operating`, `http`, `auth` and `areas` say it by their names.
"""
