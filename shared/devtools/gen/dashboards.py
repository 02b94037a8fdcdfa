"""ops/grafana/dashboards: the suite on one page, the city's view, and a page for each service."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client.metrics import MetricWrapperBase

from shared.devtools.gen.files import Generated
from shared.devtools.gen.labels import party
from shared.devtools.gen.metrics_doc import metrics_of
from shared.devtools.gen.modules import service_module
from shared.devtools.gen.panels import AnyPanel, Query, figure, graph, page, quantile, rates, times
from shared.devtools.gen.prometheus import job
from shared.devtools.gen.slo import SLOS, recorded
from shared.events import registry
from shared.events.topic import Topic
from shared.provision.services import service_names

FOLDER = "ops/grafana/dashboards"
JOBS = 'job=~"beegrid-.+"'


def _suite() -> Dashboard:
    burning = [
        graph(slo.zh, "percentunit", *((f'{recorded(w)}{{slo="{slo.name}"}}', w) for w in ("5m", "1h", "6h")),
              limit=slo.budget, span=8)
        for slo in SLOS
    ]  # fmt: skip
    return page(
        "beegrid-suite",
        "蜂格 · 全套一览 / the suite",
        "目标、堵塞、死信 / objectives, what is stuck, what failed",
        [
            ("现在 / now", [
                figure("存活进程 / processes up", "short", f"sum(up{{{JOBS}}})"),
                figure("告警 / alerts firing", "short", 'count(ALERTS{alertstate="firing"}) or vector(0)', bad_from=1),
                figure("最大落后 / worst lag", "s", "max(beegrid_consumer_lag_seconds)", bad_from=60),
                figure("最早未发 / oldest unpublished", "s", "max(beegrid_outbox_oldest_age_seconds)", bad_from=60),
                figure("死信 / dead letters", "short",
                       'sum(max by (job, topic, status) (beegrid_dead_letters_open{status=~"dead|parked"}))',
                       bad_from=1),
                figure("账本差额 / ledger sum", "short", "max(abs(beegrid_points_ledger_sum_points))", bad_from=1),
            ]),
            ("目标：坏的占比 / objectives: share of bad events", burning),
            ("流量 / traffic", [
                graph("请求 / requests", "reqps", rates("beegrid_http_requests_total", "job", JOBS)),
                graph("消费 / records consumed", "ops",
                      rates("beegrid_consumer_records_total", "job", 'outcome="handled"')),
                graph("发出 / events published", "ops", rates("beegrid_outbox_published_total", "topic")),
            ]),
            ("堵塞 / what is stuck", [
                graph("落后 / lag", "s",
                      ("max by (job, topic) (beegrid_consumer_lag_seconds)", "{{job}} {{topic}}"), limit=60),
                graph("未发事件 / unpublished events", "short", ("max by (job) (beegrid_outbox_rows)", "{{job}}")),
                graph("连接占用 / busy connections", "percentunit",
                      ('max by (job) (beegrid_postgres_connections{state="busy"} / on (job, instance) '
                       "beegrid_postgres_connections_max)", "{{job}}"), limit=0.9),
            ]),
            ("出错 / what failed", [
                graph("5xx", "reqps", rates("beegrid_http_requests_total", "job", 'status=~"5.."')),
                graph("拒绝与死信 / refused and dead", "ops",
                      rates("beegrid_consumer_records_total", "job, outcome", 'outcome=~"rejected|dead|parked"')),
                graph("重试 / retries", "ops", rates("beegrid_consumer_retries_total", "job, cause")),
            ]),
        ],
    )  # fmt: skip


def _city() -> Dashboard:
    return page(
        "beegrid-city",
        "蜂格 · 城市视图 / the city's view",
        "上报、按时办结、积分 / reports, cases closed in time, points",
        [
            ("今天 / the last 24 hours", [
                figure("上报 / reports", "short",
                       'sum(increase(beegrid_intake_reports_total{outcome="accepted"}[24h]))'),
                figure("立案 / cases opened", "short", 'sum(increase(beegrid_cases_steps_total{step="opened"}[24h]))'),
                figure("按时结案 / closed in time", "percentunit",
                       'sum(increase(beegrid_cases_closed_total{in_time="yes"}[24h])) / '
                       "sum(increase(beegrid_cases_closed_total[24h]))"),
                figure("即将超时 / soon overdue", "short",
                       'sum(max by (level) (beegrid_cases_deadlines{state="soon"}))', bad_from=1),
                figure("已超时 / overdue", "short",
                       'sum(max by (level) (beegrid_cases_deadlines{state="overdue"}))', bad_from=1),
                figure("入账笔数 / postings", "short",
                       'sum(increase(beegrid_points_movements_total{movement="posted",source="report"}[24h]))'),
            ]),
            ("上报 / reports", [
                graph("按渠道与结果 / by channel and outcome", "ops",
                      rates("beegrid_intake_reports_total", "channel, outcome", window="15m")),
                graph("分派结果 / routing", "ops", rates("beegrid_routing_reports_total", "outcome", window="15m"),
                      stacked=True),
                graph("受理到分派 / acceptance to routed", "s",
                      *times("beegrid_routing_time_to_routed_seconds"), limit=5),
            ]),
            ("案件 / cases", [
                graph("办理步骤 / steps", "ops",
                      rates("beegrid_cases_steps_total", "step", window="15m"), stacked=True),
                graph("时限 / time limits", "short",
                      ("max by (level, state) (beegrid_cases_deadlines)", "{{level}} {{state}}"), limit=1),
                graph("按时结案率 / share closed in time", "percentunit",
                      ('sum by (level) (rate(beegrid_cases_closed_total{in_time="yes"}[1h])) / '
                       "sum by (level) (rate(beegrid_cases_closed_total[1h]))", "{{level}}")),
            ]),
            ("积分与兑换 / points and gifts", [
                graph("积分变动 / movements", "ops",
                      rates("beegrid_points_movements_total", "movement, source", window="15m")),
                graph("结案到入账 / closing to posting", "s",
                      *times("beegrid_points_time_to_posted_seconds"), limit=10),
                graph("兑换 / redemptions", "ops", rates("beegrid_rewards_redemptions_total", "state", window="15m")),
                graph("受理到通知 / acceptance to notification", "s",
                      *times("beegrid_notifications_time_to_notified_seconds"), limit=10),
                graph("消息 / messages", "ops",
                      rates("beegrid_notifications_messages_total", "template", window="15m")),
                graph("企业 / riders registered", "ops",
                      rates("beegrid_riders_registrations_total", "outcome", window="15m")),
            ]),
        ],
    )  # fmt: skip


def _own_panel(metric: MetricWrapperBase, at: str) -> AnyPanel:
    """A metric of the service's own, drawn by its type."""
    described = next(iter(metric.describe()))
    labels = list(metric._labelnames)  # the library has no public accessor
    legend = " ".join(f"{{{{{label}}}}}" for label in labels)
    by = f" by ({', '.join(labels)})" if labels else ""
    name = described.name
    title = f"{name.removeprefix('beegrid_')}"
    if described.type == "counter":
        panel: AnyPanel = graph(title, "ops", (f"sum{by} (rate({name}_total{{{at}}}[5m]))", legend or "all"))
    elif described.type == "histogram":
        unit = "s" if name.endswith("_seconds") else "short"
        queries: list[Query] = [
            (quantile(q, name, at, ", ".join(labels)), f"p{q * 100:g} {legend}".strip()) for q in (0.5, 0.99)
        ]
        panel = graph(title, unit, *queries)
    elif name.endswith("_timestamp_seconds"):
        panel = graph(f"{title} (age)", "s", (f"time() - min{by} ({name}{{{at}}})", legend or "oldest"))
    else:
        unit = "s" if name.endswith("_seconds") else "short"
        panel = graph(title, unit, (f"max{by} ({name}{{{at}}})", legend or "max"))
    return panel.description(described.documentation)


def _topic_panels(topic: Topic[Any], at: str) -> Sequence[AnyPanel]:
    of = f'{at},topic="{topic.name}"'
    lag = f"max by (partition) (beegrid_consumer_lag_records{{{of}}})", "{{partition}}"
    if topic.is_family:
        # a partition's lag is measured by the real topic, of which a family has one for each company
        real = topic.member("[^.]+")
        lag = (
            f'max by (topic, partition) (beegrid_consumer_lag_records{{{at},topic=~"{real}"}})',
            "{{topic}} {{partition}}",
        )
    return [
        graph("记录 / records", "ops", rates("beegrid_consumer_records_total", "outcome", of), span=6),
        graph("落后 / lag", "s", (f"max(beegrid_consumer_lag_seconds{{{of}}})", "lag"), span=6, limit=60),
        graph("落后记录 / lag by partition", "short", lag, span=6),
        graph("批次 / batches", "s", (quantile(0.99, "beegrid_consumer_batch_duration_seconds", of), "p99"),
              (quantile(0.99, "beegrid_consumer_event_age_seconds", of), "age p99"), span=6),
    ]  # fmt: skip


def _service(root: Path, service: str) -> Dashboard:
    at = f'job="{job(service)}"'
    rows: list[tuple[str, Sequence[AnyPanel]]] = [
        ("HTTP", [
            graph("请求 / requests", "reqps", rates("beegrid_http_requests_total", "route", at)),
            graph("错误 / errors", "reqps",
                  rates("beegrid_http_requests_total", "route, status", f'{at},status=~"[45].."')),
            graph("时长 p99 / duration p99", "s",
                  (quantile(0.99, "beegrid_http_request_duration_seconds", at, "route"), "{{route}}")),
        ]),
    ]  # fmt: skip
    rows += [(f"消费 / consumes {topic.name}", _topic_panels(topic, at)) for topic in registry.consumed_by(service)]
    rows.append(
        ("发出与数据库 / publishing and Postgres", [
            graph("发出 / published", "ops", rates("beegrid_outbox_published_total", "topic", at), span=6),
            graph("未发 / unpublished", "short", (f"max(beegrid_outbox_rows{{{at}}})", "rows"),
                  (f"sum(beegrid_relay_leader{{{at}}})", "leaders"), span=6),
            graph("连接 / connections", "short",
                  (f"sum by (state) (beegrid_postgres_connections{{{at}}})", "{{state}}"),
                  (f"sum(beegrid_postgres_connections_max{{{at}}})", "max"), span=6),
            graph("事务 p99 / transaction p99", "s",
                  (quantile(0.99, "beegrid_postgres_transaction_duration_seconds", at), "p99"), span=6),
        ])
    )  # fmt: skip
    module = service_module(service, "metrics")
    own = metrics_of(module) if module is not None else []
    if own:
        rows.append(("业务 / its own", [_own_panel(metric, at) for metric in own]))
    return page(f"beegrid-{service}", f"蜂格 · {party(service)[0]} {service}", f"services/{service}", rows)


def encoded(dashboard: Dashboard) -> str:
    """The JSON that Grafana reads; the same for the same input."""
    return json.dumps(dashboard, cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def generate(root: Path) -> Generated:
    """All pages."""
    pages = {"suite": _suite(), "city": _city()}
    pages |= {service: _service(root, service) for service in service_names(root)}
    return Generated(
        files={f"{FOLDER}/{name}.json": encoded(built) for name, built in pages.items()}, owned=(f"{FOLDER}/*.json",)
    )
