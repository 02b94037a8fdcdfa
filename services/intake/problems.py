"""What intake refuses with."""

from shared.kit import problems
from shared.kit.refusals import Problem, Refusal

UNKNOWN_COMPANY = problems.UNKNOWN_COMPANY
COMPANY_SUSPENDED = problems.COMPANY_SUSPENDED
RIDER_ERASED = problems.RIDER_ERASED
RIDER_INACTIVE = problems.RIDER_INACTIVE
EVENT_KNOWN = problems.EVENT_KNOWN
IDEMPOTENCY_CONFLICT = problems.IDEMPOTENCY_CONFLICT
EXTERNAL_ID_MISMATCH = problems.EXTERNAL_ID_MISMATCH
UNKNOWN_KIND = problems.UNKNOWN_KIND
UNKNOWN_RIDER = problems.UNKNOWN_RIDER

TOO_MANY_WAITING = Problem(
    "too_many_waiting", 409, zh="等待骑手登记的上报过多", en="Too many reports wait for riders",
    next_zh="先登记骑手（含授权和在岗状态），再重新发送这些上报。",
    next_en="Register the riders first, with consent and as active, then send these reports again.",
)  # fmt: skip
CONSENT_MISSING = Problem(
    "consent_missing", 422, zh="骑手未授权", en="Consent missing",
    next_zh="取得骑手授权并登记授权时间；刚登记的，等待 Retry-After 所示的秒数后原样重试。",
    next_en="Register the rider with the time of consent; where you just have, send the same after the seconds in "
    "Retry-After.",
)  # fmt: skip
OCCURRED_IN_FUTURE = Problem(
    "occurred_in_future", 422, zh="时间在未来", en="Time in the future",
    next_zh="校准时钟，occurred_at 填看到的时间。",
    next_en="Set the clock right; occurred_at is when it was seen.",
)  # fmt: skip
UNKNOWN_PHOTO = Problem(
    "unknown_photo", 422, zh="照片不存在", en="Unknown photo",
    next_zh="先上传照片，用返回的编号上报；未使用的照片保留 24 小时。",
    next_en="Upload the photo first and use its id within 24 hours.",
)  # fmt: skip
RIDER_NOT_ALLOWED = Problem(
    "rider_not_allowed", 422, zh="不得填写骑手", en="Rider not allowed",
    next_zh="去掉 rider 字段：骑手由令牌确定。",
    next_en="Leave `rider` out: the token says who it is.",
)  # fmt: skip
PHOTO_EMPTY = Problem(
    "photo_empty", 422, zh="没有照片", en="No photo",
    next_zh="在请求体或表单的 file 字段中放入照片。",
    next_en="Put the photo into the body or into the form's field `file`.",
)  # fmt: skip
MALFORMED_FORM = Problem(
    "malformed_form", 400, zh="表单无效", en="Malformed form",
    next_zh="按 detail 改正表单，或直接以图片作为请求体发送。",
    next_en="Correct the form as `detail` says, or send the photo itself as the body.",
)  # fmt: skip
NOT_AN_IMAGE = Problem(
    "not_an_image", 422, zh="不是可用的图片", en="Not an image",
    next_zh="上传 JPEG、PNG、WebP 或 HEIC 照片。",
    next_en="Upload a JPEG, PNG, WebP or HEIC photo.",
)  # fmt: skip
PHOTO_TRUNCATED = Problem(
    "photo_truncated", 422, zh="照片不完整", en="Photo incomplete",
    next_zh="上传中断：重新上传完整的文件。",
    next_en="The upload broke off: send the whole file again.",
)  # fmt: skip
PHOTO_DAMAGED = Problem(
    "photo_damaged", 422, zh="照片已损坏", en="Photo damaged",
    next_zh="重新拍摄或导出照片后再上传。",
    next_en="Take or export the photo again, and upload that.",
)  # fmt: skip
TOO_MANY_PIXELS = Problem(
    "too_many_pixels", 422, zh="照片像素过多", en="Too many pixels",
    next_zh="缩小照片后再上传。",
    next_en="Make the photo smaller, and upload that.",
)  # fmt: skip
PHOTO_TOO_HEAVY = Problem(
    "photo_too_heavy", 422, zh="照片解码代价过高", en="Photo too heavy to decode",
    next_zh="另存为普通 JPEG 后再上传。",
    next_en="Save it again as a plain JPEG, and upload that.",
)  # fmt: skip

OF_A_RECORD = (
    UNKNOWN_COMPANY,
    COMPANY_SUSPENDED,
    RIDER_ERASED,
    EVENT_KNOWN,
    IDEMPOTENCY_CONFLICT,
    UNKNOWN_KIND,
    UNKNOWN_RIDER,
    RIDER_INACTIVE,
    CONSENT_MISSING,
    OCCURRED_IN_FUTURE,
    UNKNOWN_PHOTO,
)
"""A company's report, whether Kafka brings it or HTTP."""
OF_A_STREAM = (*OF_A_RECORD, TOO_MANY_WAITING)
"""Only what is streamed waits for its rider."""
FOR_NOW = {one.code: one for one in (UNKNOWN_RIDER, RIDER_INACTIVE, CONSENT_MISSING)}
"""What a change of the rider, which may be on its way, puts right: by code."""
OF_A_REPORT = (*OF_A_RECORD, EXTERNAL_ID_MISMATCH, RIDER_NOT_ALLOWED)
OF_AN_UPLOAD = (
    PHOTO_EMPTY,
    MALFORMED_FORM,
    NOT_AN_IMAGE,
    PHOTO_TRUNCATED,
    PHOTO_DAMAGED,
    TOO_MANY_PIXELS,
    PHOTO_TOO_HEAVY,
)
OF_DECODING = {
    one.code: one for one in (NOT_AN_IMAGE, PHOTO_TRUNCATED, PHOTO_DAMAGED, TOO_MANY_PIXELS, PHOTO_TOO_HEAVY)
}
"""What a decoding process may answer, by the code that it sends."""

NO_CONSENT = "the rider has not agreed to place and photo being processed"
RETRY_AFTER_S = "2"
"""As long as a change of a rider takes to be known here, and more."""


def for_now(code: str, detail: str) -> Refusal:
    """A refusal that a change of the rider puts right, by its code of FOR_NOW: the same may come again soon."""
    return Refusal(FOR_NOW[code], detail, {"field": "rider"}, {"Retry-After": RETRY_AFTER_S})
