"""The cycle collector in a process that makes many objects and few cycles."""

import gc

THRESHOLDS = (50_000, 20, 20)


def collect_seldom() -> None:
    """Let the cycle collector run less often: for whoever is about to import a whole service, whose objects all stay.

    By default it walks through all of them again and again while their number grows, an eighth of the time.
    """
    gc.set_threshold(*THRESHOLDS)


def spare_the_collector() -> None:
    """Keep what start-up has made out of the cycle collector, and let it run less often.

    A batch makes tens of thousands of short-lived objects without cycles; by default each few hundred of them start a
    collection that walks through all imported modules again.
    """
    gc.collect()
    gc.freeze()
    collect_seldom()
