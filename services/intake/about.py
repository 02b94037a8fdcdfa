"""What others need to know of intake."""

from shared.kit.about import About, Need, Outside, Secret, Size

ABOUT = About(
    zh="报告受理",
    en="intake",
    does_zh="校验上报，保管照片",
    does_en="checks reports and keeps their photos",
    paths=("/v1/reports*", "/v1/photos*"),
    limit="HTTP by processes; photos by CPU (threads `BEEGRID_PHOTO_WORKERS`)",
    # two processes that decode photos may take 384 Mi each; uploads that wait for them, 128 Mi
    size=Size(cpu_m=200, memory_mi=1280, alone_mi=768),
    secrets=(Secret.SEALING_KEY, Secret.PHOTO_STORE),
    needs=(
        Need(
            "object store (`BEEGRID_PHOTO_STORE_URL`)",
            "photos",
            "uploads get 503; reports without new photos go on",
            (Outside.OBJECT_STORE,),
        ),
    ),
    place=2,
)
