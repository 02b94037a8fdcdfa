"""What others need to know of riders."""

from shared.kit.about import About, Secret, Size

ABOUT = About(
    zh="骑手档案",
    en="riders",
    does_zh="知道谁可以上报",
    does_en="knows who may report",
    paths=("/v1/companies*", "/v1/outlets*", "/v1/riders*"),
    limit="bulk registration: 1,000 a request",
    size=Size(cpu_m=100, pods_max=3, lag_per_pod=5_000),
    secrets=(Secret.SEALING_KEY,),
    place=1,
)
