"""What others need to know of stations."""

from shared.kit.about import About, Secret, Size

ABOUT = About(
    zh="驿站",
    en="stations",
    does_zh="驿站目录和实时状态，打卡，评价",
    does_en="knows the stations, whether they are open now, and who came",
    paths=("/v1/stations*", "/stations*"),
    limit="the nearest stations are found in each process's memory; one station's row is one lock",
    size=Size(cpu_m=100, pods_max=4),
    secrets=(Secret.SEALING_KEY,),
    demo={"BEEGRID_CITY_NAME_ZH": "演示城市", "BEEGRID_CITY_NAME_EN": "Demo city"},
    deeds=("station-visit",),
    place=9,
)
