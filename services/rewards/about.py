"""What others need to know of rewards."""

from shared.kit.about import About, Secret, Size

ABOUT = About(
    zh="兑换",
    en="rewards",
    does_zh="把积分换成礼品",
    does_en="turns points into gifts",
    paths=("/v1/merchants*", "/v1/offers*", "/v1/redemptions*", "/v1/vouchers*", "/v1/statements*"),
    limit="one offer's row is one lock; requests for it share a transaction",
    size=Size(cpu_m=100, pods_max=4),
    secrets=(Secret.SEALING_KEY,),
    place=6,
)
