"""Settings of the rewards service."""

from pydantic import Field, SecretStr

from shared.kit.auth import sealing_keys
from shared.kit.settings import SealingSettings


class Settings(SealingSettings):
    """What the kit needs, the times of a redemption and the limits at a counter."""

    points_answer_s: int = Field(600, ge=5, description="a request that points never answered is cancelled after this")
    sweep_every_s: float = Field(
        5.0, gt=0, le=25, description="stock of ended redemptions comes back at most this late"
    )
    sweep_rows_max: int = Field(200, ge=1, le=5000, description="redemptions ended in one transaction")
    redemptions_per_minute: int = Field(
        30,
        ge=1,
        le=6_000,
        description="redemptions that a rider may ask for a minute, repetitions included: each takes its offer's "
        "lock, for which everybody else waits",
    )
    refusal_holds_s: int = Field(
        60,
        ge=0,
        le=3_600,
        description="whom points refused as too poor is refused here at once for so long, unless their points change",
    )
    wrong_codes_max: int = Field(
        20, ge=1, le=10_000, description="wrong voucher codes of one merchant in the window; more attempts are refused"
    )
    wrong_codes_window_s: int = Field(600, ge=1, le=86_400, description="how long a wrong voucher code counts")
    offline_good_h: int = Field(12, ge=1, le=72, description="a counter's offline list is good for so many hours")
    offline_grace_h: int = Field(
        12, ge=1, le=72, description="so many hours after it what was taken may be uploaded; its vouchers wait for that"
    )
    offline_rows_max: int = Field(2_000, ge=1, le=5_000, description="vouchers on one offline list")
    offline_open_max: int = Field(
        50,
        ge=1,
        le=1_000,
        description="offline lists of one merchant that are open: neither settled nor past their grace",
    )
    undo_days_max: int = Field(
        14, ge=1, le=366, description="an operator can undo a voucher's use for so long; settle with merchants after it"
    )
    voucher_key: SecretStr | None = Field(
        None, description="secret that hashes and seals voucher codes; none: derived from the sealing key"
    )

    def voucher_secrets(self) -> dict[str, bytes]:
        """What codes are made of, by sealing key's id; under a key of their own no sealing key matters."""
        if self.voucher_key is not None:
            return {"voucher_key": self.voucher_key.get_secret_value().encode()}
        return {key.id: key.raw for key in sealing_keys(self.sealing_key.get_secret_value())}
