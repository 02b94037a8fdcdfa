"""What others need to know of points."""

from shared.kit.about import About

ABOUT = About(
    zh="积分账本",
    en="points",
    does_zh="预记、入账、支付积分",
    does_en="holds, posts and pays points",
    paths=("/v1/points*",),
    limit="one rider's account is one lock; no hot row",
    place=5,
)
