"""Every route of both doors with the roles that may use it: one table, read by the gate, the docs and the tests."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from starlette.requests import Request

from outreach.ledger.live import Live
from outreach.ledger.tokens import ROLES

PUBLIC: frozenset[str] | None = None
EVERYONE = frozenset(ROLES)
SHOP = frozenset({"guide", "manager", "operator", "admin"})
HEAD_OFFICE = frozenset({"operator", "admin"})
STORE = frozenset({"manager", "operator", "admin"})
NUMBERS = frozenset({"analyst", "operator", "admin"})
# Roles that see probabilities, scores and propensities.
SEES_SCORES = NUMBERS


@dataclass(frozen=True)
class Route:
    """One route: its roles (None: public), and whether a browser's page (not JSON) answers."""

    method: str
    template: str
    roles: frozenset[str] | None
    page: bool = False


ROUTES: tuple[Route, ...] = (
    # Lists, tasks, outcomes.
    Route("GET", "/v1/guides/{guide_id}/contact-list", SHOP),
    Route("GET", "/v1/contact-tasks/{task_id}", SHOP),
    Route("POST", "/v1/contact-outcomes", SHOP),
    Route("DELETE", "/v1/contact-outcomes/{event_id}", SHOP),
    Route("POST", "/v1/contact-lists:regenerate", STORE),
    Route("GET", "/v1/jobs/{job_id}", STORE),
    # The store's people.
    Route("GET", "/v1/stores/{store_id}/guides", STORE),
    Route("POST", "/v1/contact-tasks:reassign", STORE),
    Route("PUT", "/v1/guides/{guide_id}/leave", STORE),
    Route("DELETE", "/v1/guides/{guide_id}/leave", STORE),
    # Members.
    Route("GET", "/v1/members/{member_id}", SHOP),
    Route("GET", "/v1/members/{member_id}/why", SHOP),
    Route("GET", "/v1/members/{member_id}/recommendations", SHOP | {"app"}),
    Route("PUT", "/v1/members/{member_id}/consents", SHOP | {"app"}),
    Route("GET", "/v1/members/{member_id}/export", HEAD_OFFICE),
    Route("DELETE", "/v1/members/{member_id}", HEAD_OFFICE),
    # Items.
    Route("POST", "/v1/recommendations", SHOP | {"app"}),
    Route("GET", "/v1/items/{item_id}/members", SHOP),
    Route("GET", "/v1/items/{item_id}/similar", EVERYONE),
    Route("GET", "/v1/items/{item_id}/bought-together", EVERYONE),
    # What happens, and the rules.
    Route("POST", "/v1/events", HEAD_OFFICE | {"app"}),
    Route("GET", "/v1/rules", HEAD_OFFICE),
    Route("PUT", "/v1/rules", HEAD_OFFICE),
    Route("GET", "/v1/experiments/contact/summary", NUMBERS),
    Route("GET", "/v1/experiments/recommendations/summary", NUMBERS),
    Route("GET", "/v1/readiness", EVERYONE),
    Route("GET", "/v1/model", EVERYONE),
    # Bulk prediction calls: BentoML's own typed APIs.
    Route("POST", "/churn", NUMBERS),
    Route("POST", "/next_purchase", NUMBERS),
    Route("POST", "/value", NUMBERS),
    Route("POST", "/recommend", NUMBERS | {"app"}),
    Route("GET", "/schema.json", NUMBERS | {"app"}),
    # Pages.
    Route("GET", "/", PUBLIC, page=True),
    Route("GET", "/how-it-works", PUBLIC, page=True),
    Route("GET", "/guide", PUBLIC, page=True),
    Route("GET", "/guide/members/{member_id}", PUBLIC, page=True),
    Route("GET", "/manager", PUBLIC, page=True),
    Route("GET", "/static/{name}", PUBLIC),
    Route("POST", "/session", PUBLIC),
    Route("DELETE", "/session", PUBLIC),
    # Operation and description.
    Route("GET", "/livez", PUBLIC),
    Route("GET", "/readyz", PUBLIC),
    Route("GET", "/metrics", PUBLIC),
    Route("GET", "/docs", PUBLIC, page=True),
    Route("GET", "/openapi.json", PUBLIC),
)
# Answered by BentoML itself; its client reads the schema first.
BULK = frozenset({"/churn", "/next_purchase", "/value", "/recommend", "/schema.json"})


class Doors:
    """Finds the route of a request: exact paths at once, templates by their segments."""

    def __init__(self, routes: Iterable[Route] = ROUTES) -> None:
        self._exact: dict[tuple[str, str], Route] = {}
        self._shaped: dict[tuple[str, int], list[tuple[list[str], Route]]] = {}
        self._methods: dict[str, set[str]] = {}
        for route in routes:
            if "{" not in route.template:
                self._exact[route.method, route.template] = route
            else:
                parts = route.template.split("/")
                self._shaped.setdefault((route.method, len(parts)), []).append((parts, route))
            self._methods.setdefault(route.template, set()).add(route.method)

    def find(self, method: str, path: str) -> tuple[Route | None, dict[str, str]]:
        """The route of a request and its path's values, or (None, {})."""
        route = self._exact.get((method, path))
        if route is not None:
            return route, {}
        parts = path.split("/")
        for shape, candidate in self._shaped.get((method, len(parts)), ()):
            values = {}
            for want, found in zip(shape, parts, strict=True):
                if want.startswith("{"):
                    if not found:
                        break
                    values[want[1:-1]] = found
                elif want != found:
                    break
            else:
                return candidate, values
        return None, {}

    def methods_of(self, path: str) -> list[str]:
        """The methods that a path answers."""
        return sorted({method for method in ("GET", "POST", "PUT", "DELETE") if self.find(method, path)[0]})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the token's id, role, and the guide or store whose members it may see."""

    token_id: str
    role: str
    subject: str
    store_id: str

    @property
    def sees_scores(self) -> bool:
        return self.role in SEES_SCORES


@dataclass(slots=True)
class Call:
    """What the gate knows of a request, for whoever answers it.

    `live` is the ledger as it was when the request came in; whoever waits (for a body, for a thread) looks again.
    """

    request_id: str
    route: Route
    values: Mapping[str, str]
    caller: Caller | None
    live: Live

    @property
    def who(self) -> Caller:
        assert self.caller is not None, f"{self.route.template} is public and has no caller"
        return self.caller


def call_of(request: Request) -> Call:
    """The gate's Call of a request."""
    call: Call = request.scope["huitou"]
    return call
