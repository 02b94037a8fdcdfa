"""What others need to know of badges."""

from shared.kit.about import About, Secret, Size

ABOUT = About(
    zh="徽章与榜单",
    en="badges",
    does_zh="连续上报、等级、徽章和榜单",
    does_en="keeps streaks, levels, badges and boards",
    paths=("/v1/badges*",),
    limit="a board that nobody has asked for lately costs one pass over its days",
    size=Size(cpu_m=100, pods_max=4),
    secrets=(Secret.SEALING_KEY,),
    place=7,
)
