"""What notifications refuses with."""

from shared.kit import problems
from shared.kit.refusals import Member, Problem

COMPANY_MISSING = problems.COMPANY_MISSING
COMPANY_SUSPENDED = problems.COMPANY_SUSPENDED

UNKNOWN_CHANNEL = Problem(
    "unknown_channel", 422, zh="没有这个通知渠道", en="No such channel",
    next_zh="没有这个 channel_id：新渠道请给出地址。",
    next_en="Leave the channel_id out and give the address of the new channel.",
)  # fmt: skip
OUTDATED = Problem(
    "outdated", 409, zh="设置已被更新", en="Changed meanwhile",
    next_zh="current 是现在的设置：在其基础上修改并带上其 version。",
    next_en="`current` is what holds now: change that, and send its version.",
    members=(Member("current", "PreferencesOut", "what holds now"),),
)  # fmt: skip
NO_MAIL = Problem(
    "no_mail", 422, zh="未开通邮件通知", en="Mail isn't available",
    next_zh="本市没有邮件网关：换用其他渠道。",
    next_en="The city has no mail gateway: choose another kind of channel.",
)  # fmt: skip
BAD_ADDRESS = Problem(
    "bad_address", 422, zh="地址格式不对", en="Not an address",
    next_zh="核对地址与渠道类型是否一致，改正后再发送。",
    next_en="Correct the address so that it fits the kind of channel.",
)  # fmt: skip
WRONG_CODE = Problem(
    "wrong_code", 422, zh="验证码不对", en="Wrong code",
    next_zh="输入最近一封邮件里的验证码；每个验证码最多试五次。",
    next_en="Enter the code of the last mail; a code may be tried five times.",
)  # fmt: skip
CODE_EXPIRED = Problem(
    "code_expired", 409, zh="验证码已失效，请重新获取", en="Ask for a new code",
    next_zh="重新获取验证码，用新邮件里的那个。",
    next_en="Ask for another code and use the one of the new mail.",
)  # fmt: skip
VERIFIED_ALREADY = Problem(
    "verified_already", 409, zh="已验证，无需验证码", en="Verified already",
    next_zh="该地址已验证，无需再做什么。",
    next_en="The address is verified; nothing is left to do.",
)  # fmt: skip
URL_NOT_ALLOWED = Problem(
    "url_not_allowed", 422, zh="不允许的地址", en="URL not allowed",
    next_zh="使用公网可达的 https 地址，原因见 detail。",
    next_en="Use an https URL that is reachable from outside; `detail` says what is wrong with this one.",
)  # fmt: skip
NOT_DEAD = Problem(
    "not_dead", 409, zh="该投递尚未放弃", en="Delivery not given up",
    next_zh="state 为 pending 或 failed：仍在自动重试，等待结果即可；已送达的（sent）只有企业自己能重新发送。",
    next_en="While its `state` is pending or failed it is tried by itself: wait for the outcome. One that was taken "
    "(sent) only its company sends again.",
    members=(Member("state", str, "of the delivery"),),
)  # fmt: skip
