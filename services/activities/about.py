"""What others need to know of activities."""

from shared.kit.about import About, Secret, Size

ABOUT = About(
    zh="活动",
    en="activities",
    does_zh="发布活动、报名与候补、抽签、签到和评价",
    does_en="publishes activities and gives their places to riders, by turn or by lot",
    paths=("/v1/activities*",),
    limit="one activity's row is one lock; sign-ups that come together share a transaction",
    size=Size(cpu_m=100, pods_max=4),
    secrets=(Secret.SEALING_KEY,),
    deeds=("activity-attended",),
    place=8,
)
