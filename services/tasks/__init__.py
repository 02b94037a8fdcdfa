"""任务 tasks. See README.md."""
