"""Codes that only dead letters have. All others are problems, and mean on Kafka what they mean over HTTP."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LetterCode:
    """Why a record could not take effect, where no request could ever be refused so.

    `zh`, `en`: what it is; `next_zh`, `next_en`: what whoever sent the record can do.
    """

    code: str
    zh: str
    en: str
    next_zh: str
    next_en: str


EMPTY = LetterCode(
    "empty", "记录没有内容", "No value",
    "发送带内容的记录：只有平台自己的主题才用空记录表示撤出。",
    "Send a record with a value: only on the suite's own topics one without says that something leaves.",
)  # fmt: skip
PARKED = LetterCode(
    "parked", "在同键死信之后等待", "Waits behind a dead letter of its key",
    "无需操作：前一条处理后，它按顺序生效。",
    "Nothing: it takes effect in its order once the one before it is replayed.",
)  # fmt: skip
HANDLER_FAILED = LetterCode(
    "handler_failed", "处理失败", "Kept failing",
    "问题在平台一侧：由运维修复后重放，无需重发。",
    "The fault is the suite's: its operator replays the record; sending it again isn't needed.",
)  # fmt: skip
UNREADABLE = LetterCode(
    "unreadable", "读取失败", "Could not be read",
    "问题在平台一侧：由运维修复后重放，无需重发。",
    "The fault is the suite's: its operator replays the record; sending it again isn't needed.",
)  # fmt: skip
UNREADABLE_RECORD = LetterCode(
    "unreadable_record", "记录格式损坏", "A broken record",
    "记录的字段与其长度不符：检查客户端后重新发送。",
    "The record's fields don't fit its length: look at the client, then send it again.",
)  # fmt: skip
UNREADABLE_BATCH = LetterCode(
    "unreadable_batch", "批次无法解开", "A batch that can't be unpacked",
    "整批记录都未生效：换用支持的压缩方式，减小批次后重新发送。",
    "None of its records took effect: send them again in smaller batches, packed in a way that is taken.",
)  # fmt: skip

OF_RECORDS = (EMPTY, PARKED, HANDLER_FAILED, UNREADABLE, UNREADABLE_RECORD, UNREADABLE_BATCH)
"""All of them."""
