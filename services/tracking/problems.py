"""What tracking refuses with."""

from shared.kit import problems

COMPANY_MISSING = problems.COMPANY_MISSING
