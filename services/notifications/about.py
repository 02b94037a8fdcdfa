"""What others need to know of notifications."""

from shared.kit.about import About, Need, Outside, Secret

ABOUT = About(
    zh="通知",
    en="notifications",
    does_zh="告知小哥和企业",
    does_en="notifies riders and companies",
    paths=("/v1/inbox*", "/v1/preferences*", "/v1/webhooks*", "/v1/notifications*"),
    limit="deliveries are shared among processes by claims",
    secrets=(Secret.SEALING_KEY,),
    needs=(
        Need(
            "companies' webhooks",
            "notifying companies",
            "tried again for about 20 hours, then dead: an operator retries",
            (Outside.PUBLIC_HOSTS,),
        ),
        Need(
            "mail gateway, group bots",
            "notifying people outside the app",
            "the same; inboxes in the app are complete",
            (Outside.PUBLIC_HOSTS, Outside.MAIL_SERVER),
        ),
    ),
    place=7,
)
