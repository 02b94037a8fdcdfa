"""Tells riders and companies what became of reports, points and vouchers. Start at README.md."""
