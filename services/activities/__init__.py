"""活动 activities. See README.md."""
