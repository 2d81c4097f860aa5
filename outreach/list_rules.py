"""The list rules that head office set over HTTP in, the settings and the urged members that a list job uses, out.

Rules are kept in the ledger and win over `huitou.toml`; null takes one back. What is refused when it is set can never
stop a night's lists.
"""

import dataclasses
import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from features.errors import InputError
from outreach.settings import ContactSettings

if TYPE_CHECKING:
    import pandas as pd

# What each rule takes, as the interface's page says it.
LIST_RULES: Mapping[str, str] = {
    "monthly_cap": "one-to-one contacts by a guide in 30 days, a whole number from 0 to 30",
    "gap_days": "days between two contacts of a member, from 0 to 365",
    "quiet_days": 'days without lists beside those of huitou.toml, ["YYYY-MM-DD", …], at most 366',
    "quiet_hours": '[from, to], whole hours over midnight in which nobody writes, [21, 9] or ["21:00", "09:00"]; '
    "tasks expire at from",
    "default_capacity": "tasks a day of a guide whose row names none, a whole number from 0 to 500",
    "urged": "members put first on their guide's list where every other rule allows it: [member_id, …] or "
    '[{"member_id": …, "kind": "hq_campaign"}, …], at most 1,000',
}
MOST_QUIET_DAYS, MOST_URGED = 366, 1_000
_KIND = re.compile(r"[a-z][a-z0-9_]{0,31}")
_FULL_HOUR = re.compile(r"[0-2][0-9]:00")


def check_list_rule(name: str, value: Any) -> None:
    """Raise InputError unless a list rule can be carried out; null takes it back."""
    if value is not None:
        _READ[name](name, value)


def with_list_rules(settings: ContactSettings, rules: Mapping[str, Any]) -> ContactSettings:
    """The settings under the rules in force. Raises InputError for a rule that does not fit, by name."""
    said = {name: _READ[name](name, rules[name]) for name in LIST_RULES if rules.get(name) is not None}
    changes: dict[str, Any] = {}
    if "monthly_cap" in said:
        changes["contacts_30d_max"] = said["monthly_cap"]
    if "quiet_days" in said:
        changes["quiet_days"] = tuple(sorted({*settings.quiet_days, *said["quiet_days"]}))
    if "quiet_hours" in said:
        quiet_from, quiet_to = said["quiet_hours"]
        changes["list_hours"] = (quiet_to, quiet_from)
    changes |= {name: said[name] for name in ("gap_days", "default_capacity") if name in said}
    return dataclasses.replace(settings, **changes)


def urged_frame(rules: Mapping[str, Any]) -> "pd.DataFrame":
    """member_id, kind (null: the usual one) of the members that head office urges, each once."""
    import pandas as pd  # not at the top: the service checks rules without it

    rows = [] if rules.get("urged") is None else _urged("urged", rules["urged"])
    frame = pd.DataFrame(rows, columns=["member_id", "kind"], dtype=object)
    return frame.drop_duplicates("member_id", keep="last", ignore_index=True)


def without_member(value: Any, member_id: str) -> Any:
    """An urged rule's value without one member, for who asks to be forgotten."""
    if not isinstance(value, list):
        return value
    return [row for row in value if (row.get("member_id") if isinstance(row, dict) else row) != member_id]


def _refused(name: str, value: Any) -> InputError:
    return InputError(f"rules.{name}: expected {LIST_RULES[name]}; found {str(value)[:80]!r}")


def _whole(name: str, value: Any, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise _refused(name, value)
    return value


def _cap(name: str, value: Any) -> int:
    return _whole(name, value, 30)


def _capacity(name: str, value: Any) -> int:
    return _whole(name, value, 500)


def _gap(name: str, value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 365:
        raise _refused(name, value)
    return float(value)


def _days(name: str, value: Any) -> list[dt.date]:
    if not isinstance(value, list) or len(value) > MOST_QUIET_DAYS:
        raise _refused(name, value)
    try:
        return [dt.date.fromisoformat(day) for day in value]
    except (TypeError, ValueError) as error:
        raise _refused(name, value) from error


def _hours(name: str, value: Any) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        raise _refused(name, value)
    hours = [int(hour[:2]) if isinstance(hour, str) and _FULL_HOUR.fullmatch(hour) else hour for hour in value]
    quiet_from, quiet_to = (_whole(name, hour, 23) for hour in hours)
    if quiet_from <= quiet_to:
        raise _refused(name, value)
    return quiet_from, quiet_to


def _urged(name: str, value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or len(value) > MOST_URGED:
        raise _refused(name, value)
    rows = []
    for row in value:
        said = row if isinstance(row, dict) else {"member_id": row}
        member, kind = said.get("member_id"), said.get("kind")
        if not isinstance(member, str) or not 0 < len(member) <= 160 or set(said) - {"member_id", "kind"}:
            raise _refused(name, row)
        if kind is not None and not (isinstance(kind, str) and _KIND.fullmatch(kind)):
            raise _refused(name, row)
        rows.append({"member_id": member, "kind": kind})
    return rows


_READ: Mapping[str, Callable[[str, Any], Any]] = {
    "monthly_cap": _cap,
    "gap_days": _gap,
    "quiet_days": _days,
    "quiet_hours": _hours,
    "default_capacity": _capacity,
    "urged": _urged,
}
