"""What others need to know of tracking."""

from shared.kit.about import About, Secret

ABOUT = About(
    zh="进度公开",
    en="tracking",
    does_zh="保存时间线，通知城市系统，展示页面",
    does_en="keeps the timeline, notifies the city's systems and shows the pages",
    paths=("/", "/r/*", "/city*", "/problems/*", "/docs*", "/v1/tracking*", "/assets/*"),
    limit="reads by processes; projections by partitions",
    secrets=(Secret.SEALING_KEY,),
    # of the demo's city; a city of your own says so in .env
    demo={
        "BEEGRID_CITY_NAME_ZH": "演示城市",
        "BEEGRID_CITY_NAME_EN": "Demo city",
        "BEEGRID_BOUNDARIES_FICTIONAL": "true",
    },
    place=8,
)
