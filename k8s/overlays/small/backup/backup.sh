#!/bin/sh
# The whole suite to a folder each night; the newest $KEEP stay. What was broken off has another name and goes.
set -eu
umask 077
BACKUPS=${BACKUPS:-/backups} KEEP=${KEEP:-14}
rm -rf "$BACKUPS"/.new-*
now=$(date -u +%Y-%m-%dT%H%M%SZ)
beegrid backup "$BACKUPS/.new-$now"
mv "$BACKUPS/.new-$now" "$BACKUPS/$now"
ls -1d "$BACKUPS"/20* | sort -r | tail -n "+$((KEEP + 1))" | while read -r old; do rm -rf "$old"; done
ls -1 "$BACKUPS"
