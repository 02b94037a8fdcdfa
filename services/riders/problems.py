"""What riders refuses with."""

from shared.kit import problems
from shared.kit.refusals import Problem

UNKNOWN_COMPANY = problems.UNKNOWN_COMPANY
COMPANY_SUSPENDED = problems.COMPANY_SUSPENDED
RIDER_ERASED = problems.RIDER_ERASED
EVENT_KNOWN = problems.EVENT_KNOWN
EXTERNAL_ID_MISMATCH = problems.EXTERNAL_ID_MISMATCH

COMPANY_EXISTS = Problem(
    "company_exists", 409, zh="企业已登记", en="Company exists",
    next_zh="企业已在册：直接读取或修改，不必再登记。",
    next_en="The company is registered: read or change it.",
)  # fmt: skip
TOO_MANY_KEYS = Problem(
    "too_many_keys", 409, zh="有效密钥过多", en="Too many active keys",
    next_zh="先吊销不再使用的密钥，再申请新的。",
    next_en="Revoke a key that is no longer used, then make the new one.",
)  # fmt: skip
INVALID_NAME = Problem(
    "invalid_name", 422, zh="姓名无效", en="Invalid name",
    next_zh="填写骑手的姓名，不能为空白或含不可见字符。",
    next_en="Give the rider's name, neither blank nor with control characters.",
)  # fmt: skip
CONSENT_IN_FUTURE = Problem(
    "consent_in_future", 422, zh="授权时间在未来", en="Consent in the future",
    next_zh="校准时钟，consent_at 填骑手实际授权的时间。",
    next_en="Set the clock right; consent_at is when the rider agreed.",
)  # fmt: skip

OF_A_RECORD = (UNKNOWN_COMPANY, COMPANY_SUSPENDED, RIDER_ERASED, EVENT_KNOWN, INVALID_NAME, CONSENT_IN_FUTURE)
"""A company's registration, whether Kafka brings it or HTTP."""
