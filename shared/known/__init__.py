"""What services know of riders and companies, whose originals the riders service owns: one projection for all of them.

A service that knows them is named among the consumers of RIDER_CHANGED or COMPANY_CHANGED; that gives its schema the
tables. Its app.py says `knows(service, …)` (knowing.py); its store joins `known_riders` and `known_companies`.
"""
