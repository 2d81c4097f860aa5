"""Identifiers of members come in; out come the cards that belong to one person, and the cases a person must decide.

Identifiers are tried in the order of trust: a card the brand itself merged, then unionid, verified mobile, external_userid,
openid, and the ids of other platforms. Two cards that claim one identifier become one member unless something says no:

- they disagree about an identifier of higher trust in the same scope (one mobile with two unionids, for instance);
- the identifier is claimed by more than three members (a shop's phone, a borrowed number);
- the mobile number changed hands: claims more than twelve months apart with different unionids;
- the mobile is not verified (guides type such numbers), or a person decided that the two are apart.

Whatever says no is queued with its reason; nothing is merged in silence, and nothing half: an identifier merges all its
members or none. A device never merges, a deregistered member neither. No names, birthdays or addresses are looked at.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import combinations
from typing import Any

import pandas as pd

from features.claims import CARD_TYPES, TRUST, claims_in_play
from features.errors import InputError
from features.tables import Tables

MOST_MEMBERS = 3
RECYCLED_AFTER = timedelta(days=365)
MERGES = ("old_id", "member_id", "id_type", "id_scope", "id_value", "reason")
CONFLICTS = ("id_type", "id_scope", "id_value", "members", "reason", "told")
DECISIONS = ("member_id", "other_id", "decision")

_REASONS = {
    "unverified_mobile": "the mobile is not verified; verify it, or decide",
    "linked_to_many": f"more than {MOST_MEMBERS} members claim it; it may be a shop's phone",
    "recycled_mobile": "the number seems to have changed hands: claims over a year apart with different unionids",
    "mobile_two_unionids": "one mobile with two unionids; ask which card is in use",
    "higher_id_differs": "the cards disagree about an identifier of higher trust",
    "kept_apart": "a person decided that these are not the same",
    "card_of_two": "two members claim one card; say whose it is",
    "card_circle": "cards that were merged into each other; say which one stays",
}


@dataclass(frozen=True)
class OneId:
    """Who is who.

    merges: old_id, member_id (the card that stays), and the identifier that says so; one row an old id.
    conflicts: id_type, id_scope, id_value, members (sorted, blank between), reason, told; one row a case to decide.
    """

    merges: pd.DataFrame
    conflicts: pd.DataFrame

    @property
    def aliases(self) -> dict[str, str]:
        """Old id to the id that stays: the old one still answers."""
        return dict(zip(self.merges.old_id, self.merges.member_id, strict=True))

    def answer(self, member_id: str) -> str:
        """The id under which a member is kept; itself where nothing was merged."""
        return self.aliases.get(member_id, member_id)

    def cluster(self, member_id: str) -> tuple[str, ...]:
        """All ids of the person, the one that stays first."""
        kept = self.answer(member_id)
        return (kept, *sorted(self.merges.old_id[self.merges.member_id == kept]))


@dataclass
class _Cluster:
    members: list[str]
    values: dict[tuple[str, str], set[str]] = field(default_factory=dict)


def decisions_frame(rows: Iterable[tuple[str, str, str]] = ()) -> pd.DataFrame:
    """Decisions of people: member_id, other_id, and 'apart' or 'same'.

    Raises InputError for another decision.
    """
    frame = pd.DataFrame(list(rows), columns=list(DECISIONS), dtype=object)
    wrong = sorted(set(frame.decision) - {"apart", "same"})
    if wrong:
        raise InputError(f"decisions.decision: expected 'apart' or 'same', found {wrong}")
    return frame


def unmerge(decisions: pd.DataFrame, one: OneId, old_id: str) -> pd.DataFrame:
    """Decisions with one more: the card `old_id` is apart from every other card of its member.

    Resolving and re-keying again with these gives back what was there before the merge, to the byte: merges never touch
    the tables they came from. Raises InputError where the id was not merged.
    """
    if old_id not in one.aliases:
        raise InputError(f"{old_id}: expected an id that was merged into another; found {len(one.merges)} others")
    others = [other for other in one.cluster(old_id) if other != old_id]
    more = decisions_frame((old_id, other, "apart") for other in others)
    return pd.concat([decisions, more], ignore_index=True).drop_duplicates(ignore_index=True)


def resolve(tables: Tables, *, as_of: date | None = None, decisions: pd.DataFrame | None = None) -> OneId:
    """Find the cards that belong together, as known before `as_of` (everything, where it is None).

    The same rows in any order give the same answer.
    """
    decisions = decisions_frame() if decisions is None else decisions
    claims, members = claims_in_play(tables, as_of, sorted({*decisions.member_id, *decisions.other_id}))
    return _Resolving(claims, members, decisions).finish()


class _Resolving:
    """One resolution under way: clusters of cards, each with the values it holds of every identifier."""

    def __init__(self, claims: pd.DataFrame, members: pd.DataFrame, decisions: pd.DataFrame) -> None:
        gone = set(members.member_id[members.status == "deregistered"])
        self.registered = dict(zip(members.member_id, members.registered_at, strict=True))
        self.known = set(self.registered)
        self.claims = claims[~claims.member_id.isin(gone)].sort_values(
            ["id_type", "id_scope", "id_value", "member_id"], ignore_index=True
        )
        self.gone = gone
        self.apart = {frozenset(pair) for pair in self._pairs(decisions, "apart")}
        self.same = self._pairs(decisions, "same")
        self.clusters: dict[str, _Cluster] = {}
        self.links: dict[str, tuple[str, str, str, str]] = {}
        self.retired: dict[str, str] = {}
        self.conflicts: list[dict[str, str]] = []
        self.rows: list[Any] = list(self.claims.itertuples(index=False))
        for row in self.rows:
            if row.id_type == "mobile_hmac" and not row.verified:
                continue
            cluster = self.clusters.setdefault(row.member_id, _Cluster([row.member_id]))
            cluster.values.setdefault((row.id_type, row.id_scope), set()).add(row.id_value)

    @staticmethod
    def _pairs(decisions: pd.DataFrame, decision: str) -> list[tuple[str, str]]:
        rows = decisions[decisions.decision == decision]
        return sorted({(min(a, b), max(a, b)) for a, b in zip(rows.member_id, rows.other_id, strict=True)})

    def finish(self) -> OneId:
        self._merge_cards()
        for a, b in self.same:
            self._join([a, b], ("decision", "-", f"{min(a, b)} {max(a, b)}", "a person decided"), force=True)
        shared = self._shared()
        for id_type in TRUST[1:]:
            for (scope, value), rows in shared.get(id_type, ()):
                self._try(id_type, scope, value, rows)
        return self._told()

    def _shared(self) -> dict[str, list[tuple[tuple[str, str], list[Any]]]]:
        """Claims of identifiers that several members claim, by type."""
        by_type: dict[str, list[tuple[tuple[str, str], list[Any]]]] = {}
        counts = self.claims.groupby(["id_type", "id_scope", "id_value"]).member_id.transform("nunique")
        contested = self.claims[counts > 1]
        for (id_type, scope, value), rows in contested.groupby(["id_type", "id_scope", "id_value"], sort=True):
            by_type.setdefault(str(id_type), []).append(
                ((str(scope), str(value)), list(rows.itertuples(index=False)))
            )
        return by_type

    def _merge_cards(self) -> None:
        """Merges that the brand declares: a member whose identity of type card is another member's number."""
        into: dict[str, set[str]] = {}
        for row in self.rows:
            if row.id_type in CARD_TYPES and row.id_value != row.member_id and row.id_value not in self.gone:
                declared = row.id_type == "card" or row.id_value not in self.known
                if declared:
                    into.setdefault(row.id_value, set()).add(row.member_id)
        for old, news in sorted(into.items()):
            told = [old, *sorted(news)]
            if len(news) > 1:
                self._queue("card", "-", old, told, "linked_to_many" if len(news) > MOST_MEMBERS else "card_of_two")
            elif self._reaches(next(iter(news)), old, into):
                self._queue("card", "-", old, told, "card_circle")
            elif self._join(told, ("card", "-", old, "the brand merged the cards")):
                self.retired[old] = next(iter(news))

    @staticmethod
    def _reaches(start: str, goal: str, into: dict[str, set[str]]) -> bool:
        seen, todo = set(), [start]
        while todo:
            for following in into.get(todo.pop(), ()):
                if following == goal:
                    return True
                if following not in seen:
                    seen.add(following)
                    todo.append(following)
        return False

    def _try(self, id_type: str, scope: str, value: str, rows: list[Any]) -> None:
        """Merge the members that claim one identifier, or queue it with the first reason against it."""
        members = sorted({row.member_id for row in rows})
        if self._people(members) == 1:
            return
        reason = self._against(id_type, rows, members)
        if reason == "kept_apart":
            # A card that people took out of all the others is no case any more, and the others may still be one.
            members = [m for m in members if not self._loner(m, members)]
            if len(members) < 2 or self._people(members) == 1:
                return
            rows = [row for row in rows if row.member_id in members]
            reason = self._against(id_type, rows, members)
        if reason is not None:
            self._queue(id_type, scope, value, members, reason)
            return
        self._join(members, (id_type, scope, value, "the same " + id_type))

    def _people(self, members: list[str]) -> int:
        return len({id(self._of(member)) for member in members})

    def _loner(self, member: str, members: list[str]) -> bool:
        return all(
            any(frozenset((a, b)) in self.apart for a in self._of(member).members for b in self._of(other).members)
            for other in members
            if self._of(other) is not self._of(member)
        )

    def _against(self, id_type: str, rows: list[Any], members: list[str]) -> str | None:
        if id_type == "mobile_hmac" and not all(any(r.verified for r in rows if r.member_id == m) for m in members):
            return "unverified_mobile"
        if len(members) > MOST_MEMBERS:
            return "linked_to_many"
        if any(frozenset((a, b)) in self.apart for a, b in self._crossing(members)):
            return "kept_apart"
        differing = next(self._disagreements(id_type, members), None)
        if differing is None:
            return None
        if id_type == "mobile_hmac" and differing == "unionid":
            return "recycled_mobile" if _far_apart(rows, members) else "mobile_two_unionids"
        return "higher_id_differs"

    def _crossing(self, members: list[str]) -> Iterator[tuple[str, str]]:
        """Pairs of cards that a merge of these members would bring together."""
        clusters = {id(c): c for c in (self._of(m) for m in members)}
        for one, other in combinations(clusters.values(), 2):
            yield from ((a, b) for a in one.members for b in other.members)

    def _disagreements(self, id_type: str, members: list[str]) -> Iterator[str]:
        """Types of higher trust of which two of the clusters hold nothing in common, in one scope."""
        higher = TRUST[1 : TRUST.index(id_type)]
        clusters = list({id(c): c for c in (self._of(m) for m in members)}.values())
        for wanted in higher:
            for one, other in combinations(clusters, 2):
                for (kind, scope), values in one.values.items():
                    theirs = other.values.get((kind, scope))
                    if kind == wanted and theirs and values.isdisjoint(theirs):
                        yield wanted

    def _of(self, member: str) -> _Cluster:
        return self.clusters.setdefault(member, _Cluster([member]))

    def _join(self, members: list[str], link: tuple[str, str, str, str], *, force: bool = False) -> bool:
        if not force and any(frozenset((a, b)) in self.apart for a, b in self._crossing(members)):
            self._queue(link[0], link[1], link[2], members, "kept_apart")
            return False
        clusters = list({id(c): c for c in (self._of(m) for m in sorted(members))}.values())
        kept = clusters[0]
        for other in clusters[1:]:
            kept.members.extend(other.members)
            for key, values in other.values.items():
                kept.values.setdefault(key, set()).update(values)
        for member in kept.members:
            self.clusters[member] = kept
        for member in members:
            self.links.setdefault(member, link)
        return True

    def _queue(self, id_type: str, scope: str, value: str, members: list[str], reason: str) -> None:
        row = dict(zip(CONFLICTS, (id_type, scope, value, " ".join(members), reason, _REASONS[reason]), strict=True))
        self.conflicts.append(row)

    def _stays(self, members: list[str]) -> str:
        """The card that stays: not one the brand retired, a member that is given, registered first, then by id."""
        late = pd.Timestamp.max
        return min(members, key=lambda m: (m in self.retired, m not in self.known, self.registered.get(m, late), m))

    def _told(self) -> OneId:
        rows = []
        for cluster in {id(c): c for c in self.clusters.values()}.values():
            if len(cluster.members) == 1:
                continue
            kept = self._stays(cluster.members)
            for old in cluster.members:
                if old != kept:
                    link = self.links.get(old) or self.links[kept]
                    rows.append(dict(zip(MERGES, (old, kept, *link), strict=True)))
        merges = pd.DataFrame(rows, columns=list(MERGES), dtype=object)
        conflicts = pd.DataFrame(self.conflicts, columns=list(CONFLICTS), dtype=object)
        return OneId(
            merges.sort_values("old_id", ignore_index=True),
            conflicts.sort_values(list(CONFLICTS), ignore_index=True),
        )


def _far_apart(rows: list[Any], members: list[str]) -> bool:
    """Whether the newest claims of two members lie more than twelve months apart."""
    newest = [
        max((r.last_seen for r in rows if r.member_id == m and not pd.isna(r.last_seen)), default=None)
        for m in members
    ]
    seen = sorted(moment for moment in newest if moment is not None)
    return len(seen) > 1 and seen[-1] - seen[0] > RECYCLED_AFTER
