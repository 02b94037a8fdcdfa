"""What every service may refuse with, and what several do, as data; a service's own is in its problems.py.

Those of the second part are a service's where its problems.py names them.
"""

from collections.abc import Mapping

from shared.kit.refusals import Fault, Member, Problem, Refusal

ERRORS = Member("errors", list[Fault], "what was at fault")

# What stands before every route.

BAD_REQUEST = Problem(
    "bad_request", 400, zh="请求有误", en="Bad request",
    next_zh="按 detail 改正请求后再发送；原样重发结果相同。",
    next_en="Correct the request as `detail` says; sending it again unchanged gives the same answer.",
)  # fmt: skip
MALFORMED_JSON = Problem(
    "malformed_json", 400, zh="不是有效的 JSON", en="Malformed JSON",
    next_zh="请求体必须是 UTF-8 编码的 JSON，detail 指出第几个字符出错。",
    next_en="Send JSON in UTF-8; `detail` says at which character it breaks.",
)  # fmt: skip
MALFORMED_EVENT = Problem(
    "malformed_event", 400, zh="不是有效的 CloudEvent", en="Malformed CloudEvent",
    next_zh="按 detail 改正 CloudEvent 的属性；每条都要有 specversion、id、source、type 和 data。",
    next_en="Correct the attribute that `detail` names; every event has specversion, id, source, type and data.",
)  # fmt: skip
MALFORMED_ENCODING = Problem(
    "malformed_encoding", 400, zh="压缩内容已损坏", en="Broken compression",
    next_zh="Content-Encoding 须与请求体的实际压缩方式一致，且内容完整。",
    next_en="Send whole data of the coding that Content-Encoding names.",
)  # fmt: skip
TWO_IDENTITIES = Problem(
    "two_identities", 400, zh="身份不明确", en="Two identities",
    next_zh="令牌和企业签名只能带一种。",
    next_en="Send a token or a signature, not both.",
)  # fmt: skip
QUERY_NOT_SIGNED = Problem(
    "query_not_signed", 400, zh="签名请求不得带查询参数", en="A signed body goes without a query string",
    next_zh="带请求体的签名请求不要带查询参数，它们不受签名保护。",
    next_en="Leave the query string out: the signature of a body does not cover it.",
)  # fmt: skip
CREDENTIALS_MISSING = Problem(
    "credentials_missing", 401, zh="需要登录", en="Authentication required",
    next_zh="带上城市身份令牌（Authorization: Bearer）或企业签名，需要哪种见 detail。",
    next_en="Send a token (`Authorization: Bearer`) or a company's signature; `detail` says which is needed.",
)  # fmt: skip
CREDENTIALS_MALFORMED = Problem(
    "credentials_malformed", 401, zh="需要登录", en="Authentication required",
    next_zh="只发送一个 Authorization 头，形式为 Bearer 加令牌。",
    next_en="Send exactly one Authorization header: `Bearer <token>`.",
)  # fmt: skip
TOKEN_INVALID = Problem(
    "token_invalid", 401, zh="需要登录", en="Authentication required",
    next_zh="核对令牌的签发方、受众和有效期，原因见 detail。",
    next_en="Check the token's issuer, audience and times; `detail` says what is wrong.",
)  # fmt: skip
TOKEN_EXPIRED = Problem(
    "token_expired", 401, zh="需要登录", en="Authentication required",
    next_zh="向身份服务重新获取令牌后再试。",
    next_en="Get a new token from the issuer and try again.",
)  # fmt: skip
SIGNATURE_MISSING = Problem(
    "signature_missing", 401, zh="需要登录", en="Authentication required",
    next_zh="detail 所列的签名请求头各发送一次，不多不少。",
    next_en="Send each of the signature headers named in `detail` exactly once.",
)  # fmt: skip
SIGNATURE_MALFORMED = Problem(
    "signature_malformed", 401, zh="需要登录", en="Authentication required",
    next_zh="按 detail 改正签名请求头的格式。",
    next_en="Correct the form of the signature headers as `detail` says.",
)  # fmt: skip
SIGNATURE_INVALID = Problem(
    "signature_invalid", 401, zh="需要登录", en="Authentication required",
    next_zh="核对企业代码、密钥和签名内容：签名覆盖请求体原文，没有请求体时覆盖方法和路径。",
    next_en="Check the company's code, the key and what was signed: the exact body, or else method and path.",
)  # fmt: skip
SIGNATURE_EXPIRED = Problem(
    "signature_expired", 401, zh="需要登录", en="Authentication required",
    next_zh="校准本机时钟，用当前时间重新签名。",
    next_en="Set the clock right and sign again with the current time.",
)  # fmt: skip
FORBIDDEN = Problem(
    "forbidden", 403, zh="没有权限", en="Not allowed",
    next_zh="改用有权限的身份，或请平台运维核对权限。",
    next_en="Use an identity that may do this, or ask the operator to check its rights.",
)  # fmt: skip
NOT_A_RIDER = Problem(
    "not_a_rider", 403, zh="令牌不是骑手的", en="Not a rider's token",
    next_zh="使用签发给骑手的令牌。",
    next_en="Use a token that was issued to a rider.",
)  # fmt: skip
NOT_FOUND = Problem(
    "not_found", 404, zh="未找到", en="Not found",
    next_zh="核对地址和编号。",
    next_en="Check the address and the id.",
)  # fmt: skip
METHOD_NOT_ALLOWED = Problem(
    "method_not_allowed", 405, zh="不支持的方法", en="Method not allowed",
    next_zh="核对方法：可用的方法见响应头 Allow 和 OpenAPI 文档。",
    next_en="Use one of the methods in the answer's Allow header or in the OpenAPI document.",
)  # fmt: skip
REPLAYED_REQUEST = Problem(
    "replayed_request", 409, zh="请求已处理过", en="Replayed request",
    next_zh="该 webhook-id 已用于其他请求，或已经生效而首次的响应未保留：核对结果后，新请求使用新的编号签名。",
    next_en="The webhook-id came with another request before, or took effect and its answer is not kept: look at "
    "the result, and sign what is new with a new id.",
)  # fmt: skip
CONTENT_TOO_LARGE = Problem(
    "content_too_large", 413, zh="内容过大", en="Content too large",
    next_zh="减小内容或分批发送。",
    next_en="Send less, or in several requests.",
)  # fmt: skip
UNSUPPORTED_MEDIA_TYPE = Problem(
    "unsupported_media_type", 415, zh="不支持的内容类型", en="Unsupported content type",
    next_zh="换用 detail 所列的类型；JSON 请求体使用 Content-Type: application/json。",
    next_en="Send it under one of the types in `detail`; JSON bodies as `Content-Type: application/json`.",
)  # fmt: skip
UNSUPPORTED_ENCODING = Problem(
    "unsupported_encoding", 415, zh="不支持的压缩方式", en="Unsupported encoding",
    next_zh="换用响应头 Accept-Encoding 所列的压缩方式，或不压缩。",
    next_en="Pack the body in one of the ways in the answer's Accept-Encoding, or not at all.",
)  # fmt: skip
VALIDATION_FAILED = Problem(
    "validation_failed", 422, zh="内容不符合要求", en="Content not acceptable",
    next_zh="errors 逐项列出出错的字段和原因，改正后再发送。",
    next_en="`errors` lists the fields and why each is not acceptable; correct them and send again.",
    members=(ERRORS,),
)  # fmt: skip
TOO_MANY_ITEMS = Problem(
    "too_many_items", 422, zh="条数过多", en="Too many items",
    next_zh="把 items 分成每次不超过 items_max 条的多个请求。",
    next_en="Send the items in several requests of at most `items_max`.",
    members=(Member("items_max", int, "how many items one request may have"),),
)  # fmt: skip
RATE_LIMITED = Problem(
    "rate_limited", 429, zh="请求过于频繁", en="Too many requests",
    next_zh="等待 Retry-After 所示的秒数后再试，并放慢请求频率。",
    next_en="Wait for the seconds in Retry-After, then go on more slowly.",
)  # fmt: skip
INTERNAL_ERROR = Problem(
    "internal_error", 500, zh="服务器内部错误", en="Internal error",
    next_zh="稍后再试；若持续出现，请把响应头 X-Request-Id 告知平台运维。",
    next_en="Try again later; if it stays, tell the operator the answer's X-Request-Id.",
)  # fmt: skip
BUSY = Problem(
    "busy", 503, zh="服务繁忙，请稍后重试", en="Busy, try again later",
    next_zh="等待 Retry-After 所示的秒数后原样重试，编号或 Idempotency-Key 保持不变。",
    next_en="Send the same request again, under the same number or key, after the seconds in Retry-After.",
)  # fmt: skip

# Of several services: one code, one status, one text.

BAD_CURSOR = Problem(
    "bad_cursor", 422, zh="游标无效", en="Bad cursor",
    next_zh="原样使用上一页给出的 cursor；或不带 cursor 从头读起。",
    next_en="Use the `cursor` of the page before as it was given, or begin again without one.",
    members=(ERRORS,),
)  # fmt: skip
COMPANY_MISSING = Problem(
    "company_missing", 422, zh="请指明企业", en="Name the company",
    next_zh="用 company 指明企业代码。",
    next_en="Name the company's code as `company`.",
)  # fmt: skip
COMPANY_SUSPENDED = Problem(
    "company_suspended", 403, zh="企业已停用", en="Company suspended",
    next_zh="请联系平台运维恢复企业资格。",
    next_en="Ask the operator to have the company reinstated.",
)  # fmt: skip
EVENT_KNOWN = Problem(
    "event_known", 409, zh="事件已收到过", en="Event known",
    next_zh="同一 source 和 id 的事件已经收到过：内容不同须换用新的 id；若当时被拒收，由平台运维处理死信。",
    next_en="An event of this source and id came before: give new content a new id. One that was refused on "
    "Kafka waits with the operator.",
    same_number=False,
)  # fmt: skip
EXTERNAL_ID_MISMATCH = Problem(
    "external_id_mismatch", 422, zh="编号不一致", en="Numbers differ",
    next_zh="两处编号须一致，或只写一处。",
    next_en="Give the same number in both places, or in one of them only.",
)  # fmt: skip
IDEMPOTENCY_CONFLICT = Problem(
    "idempotency_conflict", 409, zh="编号已用于其他内容", en="Number used for other content",
    next_zh="同一编号或 Idempotency-Key 已用于其他内容：重试须原样发送，新内容须用新编号。",
    next_en="The number or key came before with other content: repeat unchanged, or use a new one for new content.",
    same_number=False,
)  # fmt: skip
IDEMPOTENCY_UNFINISHED = Problem(
    "idempotency_unfinished", 409, zh="上一次请求未完成", en="Unfinished",
    next_zh="换用新的 Idempotency-Key 重新发送。",
    next_en="Send it again with a new Idempotency-Key.",
)  # fmt: skip
RIDER_ERASED = Problem(
    "rider_erased", 409, zh="骑手信息已删除", en="Rider erased",
    next_zh="骑手已要求删除其信息，该编号不能再用。",
    next_en="The rider had the data erased; this number can't be registered again.",
    same_number=False,
)  # fmt: skip
RIDER_INACTIVE = Problem(
    "rider_inactive", 403, zh="骑手已停用", en="Rider inactive",
    next_zh="请企业先将骑手恢复为在岗状态；刚恢复的，等待 Retry-After 所示的秒数后原样重试。",
    next_en="The rider's company has to register them as active; where it just has, send the same after the seconds in "
    "Retry-After.",
)  # fmt: skip
UNKNOWN_RIDER = Problem(
    "unknown_rider", 409, zh="骑手未登记", en="Unknown rider",
    next_zh="请企业先登记骑手；刚登记的，等待 Retry-After 所示的秒数后原样重试。",
    next_en="The company has to register the rider; where it just has, send the same after the seconds in Retry-After.",
)  # fmt: skip
UNKNOWN_COMPANY = Problem(
    "unknown_company", 403, zh="企业未登记", en="Unknown company",
    next_zh="核对企业代码；企业须先由平台运维登记。",
    next_en="Check the company's code; the operator has to register a company first.",
)  # fmt: skip
UNKNOWN_KIND = Problem(
    "unknown_kind", 422, zh="类别不存在", en="Unknown kind",
    next_zh="换用类别目录中的代码。",
    next_en="Use a code of the catalogue of kinds.",
)  # fmt: skip

BY_STATUS: Mapping[int, Problem] = {
    400: BAD_REQUEST,
    401: CREDENTIALS_MISSING,
    403: FORBIDDEN,
    404: NOT_FOUND,
    405: METHOD_NOT_ALLOWED,
    413: CONTENT_TOO_LARGE,
    415: UNSUPPORTED_MEDIA_TYPE,
    422: VALIDATION_FAILED,
    429: RATE_LIMITED,
    503: BUSY,
}
"""What is meant where only a status is known, as the framework has it; anything else is an internal error."""

OF_THE_FRAMEWORK = (NOT_FOUND, METHOD_NOT_ALLOWED, INTERNAL_ERROR)
"""What any address may answer with, also one that is no route."""


class ServiceBusy(Refusal):
    """503: the work was not taken on; nothing happened; try again after `retry_after_s` seconds."""

    def __init__(self, detail: str = "", retry_after_s: int = 2) -> None:
        super().__init__(BUSY, detail, headers={"Retry-After": str(retry_after_s)})


def not_found(what: str) -> Refusal:
    """Also of what the caller may not know to exist. `what`: a noun ("case"), never a value."""
    return NOT_FOUND(f"no such {what}")


def company_suspended() -> Refusal:
    """403, in the same words wherever a suspended company asks for anything."""
    return COMPANY_SUSPENDED("the company is suspended")


def unknown_rider() -> Refusal:
    """409: the rider isn't known, or not yet. Who has just been registered is known everywhere within moments."""
    return Refusal(UNKNOWN_RIDER, "the rider is not registered", {"field": "rider"}, {"Retry-After": "2"})


def rider_inactive() -> Refusal:
    """403: the rider may not act, or not yet. Who has just become active once more is so everywhere within moments."""
    return Refusal(RIDER_INACTIVE, "the rider is no longer active", {"field": "rider"}, {"Retry-After": "2"})


def too_many(retry_after_s: int, headers: Mapping[str, str] | None = None) -> Refusal:
    """429; `retry_after_s` in whole seconds, at least 1. `headers`: further ones of the answer over HTTP."""
    return Refusal(RATE_LIMITED, headers={"Retry-After": str(max(1, retry_after_s)), **(headers or {})})
