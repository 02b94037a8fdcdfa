"""What a client reads about problems beside their titles: by status, and by code where more is known.

A pair is Chinese, English. Each is one sentence (of meaning or of advice), for whoever writes or runs a client.
"""

from collections.abc import Mapping

Pair = tuple[str, str]

MEANING: Mapping[int, Pair] = {
    400: ("请求的写法有误，服务端没有处理。", "The request is not well-formed; nothing was done."),
    401: ("没有确认请求方的身份，服务端没有处理。", "It is not known who asks; nothing was done."),
    403: ("身份已确认，但不允许这样做。", "It is known who asks, and it is not allowed."),
    404: (
        "没有这个地址或对象，也可能是请求方无权知道它存在。",
        "There is no such address or thing, or the caller may not know of it.",
    ),
    405: ("这个地址不支持所用的方法。", "The address does not take this method."),
    409: (
        "请求本身没有问题，但与当前状态冲突，没有生效。",
        "The request is well-formed, but the state of things does not allow it; nothing was done.",
    ),
    413: ("发送的内容超过上限，没有处理。", "What was sent is larger than allowed; nothing was done."),
    415: ("这里不接受所发送的内容类型。", "The content type is not taken here."),
    422: (
        "格式正确，但内容不能接受，没有生效。",
        "The request can be read, but its content is not acceptable; nothing was done.",
    ),
    429: (
        "单位时间内请求过多，这一次没有处理。",
        "There were too many requests for the time; this one was not handled.",
    ),
    500: (
        "服务端出现意外错误，原因记录在服务日志中。",
        "Something went wrong in the service; the cause is in its log.",
    ),
    503: (
        "服务或其依赖暂时不可用，这一次没有完成。",
        "The service or what it needs is away; this request was not completed.",
    ),
}
ITEM_MEANING: Pair = (
    "批量请求中的这一条没有被接受，其余各条不受影响。",
    "This item of a list was not taken; the other items are not affected.",
)

NEXT_BY_STATUS: Mapping[int, Pair] = {
    400: (
        "按 detail 改正请求后再发送；原样重发结果相同。",
        "Correct the request as `detail` says; sending it again unchanged gives the same answer.",
    ),
    401: ("换用有效的令牌或签名后再发送。", "Send it again with a valid token or signature."),
    403: (
        "改用有权限的身份，或请平台运维核对权限。",
        "Use an identity that may do this, or ask the operator to check its rights.",
    ),
    404: ("核对地址和编号。", "Check the address and the id."),
    405: ("核对方法，可用的方法见 OpenAPI 文档。", "Check the method against the OpenAPI document."),
    409: (
        "先读取当前状态，再决定是否重新发起。",
        "Read the current state first, then decide whether to ask again.",
    ),
    413: ("减小内容或分批发送。", "Send less, or in several requests."),
    415: ("换用所支持的内容类型。", "Send it under a content type that is taken."),
    422: (
        "按 detail 改正内容后再发送；原样重发结果相同。",
        "Correct the content as `detail` says; sending it again unchanged gives the same answer.",
    ),
    429: ("等待 Retry-After 所示的秒数后再试。", "Wait for the seconds in Retry-After, then try again."),
    500: (
        "稍后再试；若持续出现，请把响应头 X-Request-Id 告知平台运维。",
        "Try again later; if it stays, tell the operator the answer's X-Request-Id.",
    ),
    503: ("等待 Retry-After 所示的秒数后再试。", "Wait for the seconds in Retry-After, then try again."),
}

NEXT: Mapping[str, Pair] = {
    "validation_failed": (
        "errors 逐项列出出错的字段和原因，改正后再发送。",
        "`errors` lists the fields and why each is not acceptable; correct them and send again.",
    ),
    "malformed_json": (
        "请求体必须是 UTF-8 编码的 JSON，detail 指出第几个字符出错。",
        "Send JSON in UTF-8; `detail` tells at which character it breaks.",
    ),
    "malformed_event": (
        "按 detail 改正 CloudEvent 的属性；每条都要有 specversion、id、source、type 和 data。",
        "Correct the attribute that `detail` names; every event has specversion, id, source, type and data.",
    ),
    "event_known": (
        "同一 source 和 id 的事件已经收到过：内容不同须换用新的 id；若当时被拒收，由平台运维处理死信。",
        "An event of this source and id came before: give new content a new id. One that was refused on Kafka waits "
        "with the operator.",
    ),
    "malformed_encoding": (
        "Content-Encoding 须与请求体的实际压缩方式一致，且内容完整。",
        "Send whole data of the coding that Content-Encoding names.",
    ),
    "unsupported_encoding": (
        "换用响应头 Accept-Encoding 所列的压缩方式，或不压缩。",
        "Pack the body in one of the ways in the answer's Accept-Encoding, or not at all.",
    ),
    "unsupported_media_type": (
        "换用 detail 所列的类型；JSON 请求体使用 Content-Type: application/json。",
        "Send it under one of the types in `detail`; JSON bodies as `Content-Type: application/json`.",
    ),
    "rate_limited": (
        "等待 Retry-After 所示的秒数后再试，并放慢请求频率。",
        "Wait for the seconds in Retry-After, then go on more slowly.",
    ),
    "busy": (
        "等待 Retry-After 所示的秒数后原样重试，编号或 Idempotency-Key 保持不变。",
        "Send the same request again, under the same number or key, after the seconds in Retry-After.",
    ),
    "credentials_missing": (
        "带上城市身份令牌（Authorization: Bearer）或企业签名，需要哪种见 detail。",
        "Send a token (`Authorization: Bearer`) or a company's signature; `detail` tells which is needed.",
    ),
    "credentials_malformed": (
        "只发送一个 Authorization 头，形式为 Bearer 加令牌。",
        "Send exactly one Authorization header: `Bearer <token>`.",
    ),
    "two_identities": (
        "令牌和企业签名只能带一种。",
        "Send a token or a signature, not both.",
    ),
    "token_expired": ("向身份服务重新获取令牌后再试。", "Get a new token from the issuer and try again."),
    "token_invalid": (
        "核对令牌的签发方、受众和有效期，原因见 detail。",
        "Check the token's issuer, audience and times; `detail` tells what is wrong.",
    ),
    "signature_missing": (
        "detail 所列的签名请求头各发送一次，不多不少。",
        "Send each of the signature headers named in `detail` exactly once.",
    ),
    "signature_malformed": (
        "按 detail 改正签名请求头的格式。",
        "Correct the form of the signature headers as `detail` says.",
    ),
    "signature_expired": (
        "校准本机时钟，用当前时间重新签名。",
        "Set the clock right and sign again with the current time.",
    ),
    "signature_invalid": (
        "核对企业代码、密钥和签名内容：签名覆盖请求体原文，没有请求体时覆盖方法和路径。",
        "Check the company's code, the key and what was signed: the exact body, or else method and path.",
    ),
    "query_not_signed": (
        "带请求体的签名请求不要带查询参数，它们不受签名保护。",
        "Leave the query string out: the signature of a body does not cover it.",
    ),
    "replayed_request": (
        "该 webhook-id 已用于其他请求，或已经生效而首次的响应未保留：核对结果后，新请求使用新的编号签名。",
        "The webhook-id came with another request before, or took effect and its answer is not kept: look at the "
        "result, and sign what is new with a new id.",
    ),
    "idempotency_conflict": (
        "同一编号或 Idempotency-Key 已用于其他内容：重试须原样发送，新内容须用新编号。",
        "The number or key came before with other content: repeat unchanged, or use a new one for new content.",
    ),
    "idempotency_unfinished": (
        "换用新的 Idempotency-Key 重新发送。",
        "Send it again with a new Idempotency-Key.",
    ),
    "unknown_rider": (
        "先登记骑手，稍后重新上报。",
        "Register the rider first, then send the report again.",
    ),
    "unknown_company": (
        "核对企业代码；企业须先由平台运维登记。",
        "Check the company's code; the operator has to register a company first.",
    ),
    "company_suspended": ("请联系平台运维恢复企业资格。", "Ask the operator to have the company reinstated."),
    "rider_inactive": (
        "骑手恢复为在岗状态之前不能上报。",
        "Register the rider as active before reports are sent.",
    ),
    "consent_missing": (
        "取得骑手授权并登记授权时间，然后重新上报。",
        "Register the rider with the time of consent, then send the report again.",
    ),
    "rider_erased": (
        "骑手已要求删除其信息，该编号不能再用。",
        "The rider had the data erased; this number can't be registered again.",
    ),
    "unknown_kind": ("换用类别目录中的代码。", "Use a code of the catalogue of kinds."),
    "unknown_photo": (
        "先上传照片，用返回的编号上报；未使用的照片保留 24 小时。",
        "Upload the photo first and use its id within 24 hours.",
    ),
    "areas_moved": (
        "codes 所列编号在新地图上改指别处：给新的范围用新编号，或确认原有内容留在这些编号下。",
        "The codes in `codes` stand for other ground on the new map: give that ground new codes, or accept that what "
        "is kept under them goes with them.",
    ),
    "areas_vanish": (
        "新地图没有 codes 所列的区域：用承接表说明由谁承接，或确认放弃。",
        "The new map lacks the areas in `codes`: name who takes them over in a mapping, or accept that they vanish.",
    ),
    "invalid_mapping": (
        "按 errors 逐行改正承接表；现行地图未变。",
        "Correct the lines in `errors`; the map in force is as it was.",
    ),
    "not_a_draft": (
        "该版本已生效或曾经生效：请新建一个版本。",
        "The version is or was in force: make a new one.",
    ),
    "map_has_findings": (
        "按 findings 所列修正重叠和空洞，或不用严格模式生效。",
        "Mend the overlaps and holes in `findings`, or activate without strict.",
    ),
    "unknown_code": ("请顾客出示当前券码并核对输入。", "Compare what was entered with the voucher's code."),
    "wrong_code": (
        "输入最近一封邮件里的验证码；每个验证码最多试五次。",
        "Enter the code of the last mail; a code may be tried five times.",
    ),
    "code_expired": ("重新获取验证码，用新邮件里的那个。", "Ask for another code and use the one of the new mail."),
    "verified_already": ("该地址已验证，无需再做什么。", "The address is verified; nothing is left to do."),
    "voucher_used": (
        "该券不能再次使用，核销时间见 ended_at。",
        "It can't be used again; `ended_at` tells when it was.",
    ),
    "internal_error": NEXT_BY_STATUS[500],
    "not_found": NEXT_BY_STATUS[404],
    "forbidden": NEXT_BY_STATUS[403],
}
