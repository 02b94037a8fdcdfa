"""Geometry words only: datums, metres, polygons. No business word, no database, no HTTP."""
