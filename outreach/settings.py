"""The `[contact]` section of `huitou.toml` in, every setting of the contact decision out, each with one comment."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Literal

from features.errors import InputError

Objective = Literal["repurchase", "friends", "first_orders", "visits"]
OBJECTIVES: tuple[Objective, ...] = ("repurchase", "friends", "first_orders", "visits")


@dataclass(frozen=True)
class ContactSettings:
    """How the contact list is scored, bounded and drawn.  Money in yuan, time in days, shares between 0 and 1."""

    objective: Objective = field(
        default="repurchase", metadata={"doc": "north star: repurchase, friends, first_orders or visits"}
    )
    # What a contact is worth.
    margin: float = field(default=0.5, metadata={"doc": "gross margin as a share of net spend"})
    contact_cost_yuan: float = field(
        default=2.0, metadata={"doc": "guide time per contact: 4 minutes at 30 yuan an hour"}
    )
    response_base: float = field(
        default=0.22, metadata={"doc": "added purchase probability of a fully engaged, due, rested member"}
    )
    due_level: float = field(
        default=0.5, metadata={"doc": "flat share of that base whatever the time since the last purchase"}
    )
    retention_weight: float = field(
        default=0.1, metadata={"doc": "share of the value at risk that one contact keeps"}
    )
    retention_days: float = field(default=120.0, metadata={"doc": "days of value that the retention term counts"})
    retention_visits_max: float = field(default=20.0, metadata={"doc": "at most so many visits within those days"})
    fatigue_decay: float = field(
        default=0.35, metadata={"doc": "the response falls by exp(-this) per point of fatigue"}
    )
    fatigue_half_life_days: float = field(
        default=14.0, metadata={"doc": "a past contact weighs half after so many days"}
    )
    fatigue_foresight: float = field(
        default=1.0,
        metadata={"doc": "how often fatigue counts again in the order: a contact spoils the next ones too"},
    )
    unfollow_base: float = field(
        default=0.004, metadata={"doc": "probability that a rested member unfriends after a contact"}
    )
    unfollow_fatigue: float = field(
        default=0.17, metadata={"doc": "that probability grows by exp(this) per point of fatigue"}
    )
    follower_value: float = field(default=0.2, metadata={"doc": "share of spend lost with a friend"})
    follower_days: float = field(
        default=540.0, metadata={"doc": "days of spend that a lost friend is charged with; hardly any comes back"}
    )
    horizon_days: int = field(default=90, metadata={"doc": "days H that churn_probability speaks of"})
    window_days: int = field(default=7, metadata={"doc": "days in which a purchase counts as an answer to a contact"})
    floor_yuan: float | None = field(
        default=0.0, metadata={"doc": "below this learned score nobody is listed; never used on the cold score"}
    )
    # Whom the rules leave out.
    gap_days: float | None = field(
        default=None,
        metadata={"doc": "days between contacts; empty: 0.4 x eligible / capacity, between the two below"},
    )
    gap_min_days: float = field(default=7.0, metadata={"doc": "smallest default gap"})
    gap_max_days: float = field(default=7.0, metadata={"doc": "largest default gap"})
    contacts_30d_max: int = field(default=3, metadata={"doc": "one-to-one contacts by a guide in 30 days"})
    touches_30d_max: int = field(default=4, metadata={"doc": "marketing touches over all channels in 30 days"})
    refused_days: int = field(default=60, metadata={"doc": "rest after a refusal or a complaint"})
    snoozed_days: int = field(default=7, metadata={"doc": "rest after a guide put a task off"})
    just_bought_days: int = field(default=3, metadata={"doc": "no contact in the first days after a purchase"})
    quiet_days: tuple[dt.date, ...] = field(
        default=(), metadata={"doc": "days without lists, such as a day of mourning"}
    )
    list_hours: tuple[int, int] = field(
        default=(9, 21), metadata={"doc": "hours in which a guide may write; a task expires at the end"}
    )
    default_capacity: int = field(default=20, metadata={"doc": "tasks a day for a guide without daily_capacity"})
    # Tasks that are not drawn.
    forced_share: float = field(
        default=0.3, metadata={"doc": "at most this share of a list is care, birthday or minimum touch"}
    )
    birthday_days: int = field(default=7, metadata={"doc": "a birthday is announced so many days ahead"})
    new_member_days: int = field(
        default=14, metadata={"doc": "a member without an order counts as new for so many days"}
    )
    care_days: tuple[int, int] = field(
        default=(3, 7), metadata={"doc": "after-sales care between these days after a purchase"}
    )
    top_tier_touch_days: int = field(
        default=60, metadata={"doc": "an A-tier member untouched for so long gets a greeting"}
    )
    coupon_days: int = field(default=7, metadata={"doc": "a coupon that runs out within so many days is a reason"})
    # How the list is drawn.
    epsilon: float = field(
        default=0.05, metadata={"doc": "share of every list that is drawn evenly: the price of learning"}
    )
    tau: float = field(default=0.007, metadata={"doc": "softness of the cut, in list quantiles"})
    holdout_share: float = field(
        default=0.05, metadata={"doc": "members never listed for value, for ever: the yardstick"}
    )
    holdout_care: bool = field(
        default=False, metadata={"doc": "whether held-out members still get care and birthday tasks"}
    )
    arm_shares: tuple[float, float, float] = field(
        default=(0.30, 0.45, 0.20), metadata={"doc": "members in the low, normal and high frequency arm"}
    )
    arm_weights: tuple[float, float, float] = field(
        default=(0.4, 1.0, 3.0), metadata={"doc": "weight of each arm's propensity"}
    )
    arms_until: dt.date | None = field(
        default=None, metadata={"doc": "the exploring phase, arms included, ends before this day; empty: none"}
    )
    exploring_epsilon: float = field(
        default=0.5, metadata={"doc": "epsilon while that phase lasts: its lists pay in what the log teaches"}
    )
    # What is kept to learn from.
    learning_members: int = field(
        default=20_000, metadata={"doc": "members, chosen by hash, whose mornings are kept for learning"}
    )
    learning_days: int = field(default=180, metadata={"doc": "days after which a kept morning is deleted"})
    refit_days: int = field(default=7, metadata={"doc": "days between two readings of the log"})
    salt: str = field(
        default="huitou",
        metadata={"doc": "the brand's own word that decides who is held out and in which arm; never change it"},
    )

    def epsilon_on(self, date: dt.date) -> float:
        """The share of a day's lists that is drawn evenly."""
        exploring = self.arms_until is not None and date < self.arms_until
        return self.exploring_epsilon if exploring else self.epsilon

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise InputError(
                f"contact.objective: expected one of {', '.join(OBJECTIVES)}, found '{self.objective}'; "
                "write one of these into huitou.toml"
            )
        for name in (
            "margin",
            "epsilon",
            "exploring_epsilon",
            "holdout_share",
            "forced_share",
            "due_level",
            "follower_value",
        ):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise InputError(
                    f"contact.{name}: expected a share between 0 and 1, found {value}; correct huitou.toml"
                )
        for name in (
            "tau",
            "fatigue_half_life_days",
            "horizon_days",
            "window_days",
            "gap_min_days",
            "learning_members",
            "learning_days",
            "refit_days",
        ):
            if getattr(self, name) <= 0:
                raise InputError(
                    f"contact.{name}: expected a number above 0, found {getattr(self, name)}; correct huitou.toml"
                )
        if self.gap_max_days < self.gap_min_days:
            raise InputError(
                f"contact.gap_max_days: expected at least gap_min_days = {self.gap_min_days}, "
                f"found {self.gap_max_days}; correct huitou.toml"
            )
        if self.holdout_share + sum(self.arm_shares) > 1 + 1e-9:
            raise InputError(
                f"contact.arm_shares: expected that holdout_share and arm_shares add up to at most 1, found "
                f"{self.holdout_share + sum(self.arm_shares):.3f}; correct huitou.toml"
            )
