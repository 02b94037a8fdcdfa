"""徽章与榜单 badges. See README.md."""
