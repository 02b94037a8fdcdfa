"""What others need to know of tasks."""

from shared.kit.about import About, Secret, Size

ABOUT = About(
    zh="任务",
    en="tasks",
    does_zh="志愿任务与帮办：发布、认领、候补、审核、申诉",
    does_en="volunteer tasks and errands: published, claimed, reviewed, appealed",
    paths=("/v1/tasks*",),
    limit="claims of one task follow each other behind its row",
    size=Size(cpu_m=100, pods_max=4),
    secrets=(Secret.SEALING_KEY,),
    deeds=("volunteer-task", "errand"),
    place=8,
)
