"""The pages: sign in, the guide's day, a member's card, the manager's store, how it works, and the API's description."""

import datetime as dt
import gzip
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Query, Request
from starlette.responses import RedirectResponse, Response

from serving.access import Call, Caller
from serving.answers.lists import check_guide, contact_list, list_date
from serving.answers.members import member_answer
from serving.answers.slates import recommendations
from serving.answers.stores import store_guides
from serving.errors import ApiError, not_found
from serving.gate import COOKIE
from serving.pages import words
from serving.pages.render import render, static_file, strip
from serving.routes.operation import model_answer
from serving.routes.shared import Asked, State, audit, router, said
from serving.runtime import Runtime
from serving.schemas import Id, SessionAnswer, SessionPost

routes = router("pages")
LANGUAGE_COOKIE = "huitou_lang"
# A cookie lives as long as a working day; the token behind it may be revoked at any time.
SESSION_SECONDS = 12 * 3600
HOMES = {"guide": "/guide", "manager": "/manager", "operator": "/guide", "admin": "/guide"}
Language = Annotated[str | None, Query(alias="lang", max_length=8)]


@routes.get("/", include_in_schema=True)
def front() -> Response:
    """To the guide's page."""
    return RedirectResponse("/guide", 307)


@routes.get("/guide")
def guide_page(
    request: Request,
    runtime: State,
    call: Asked,
    lang: Language = None,
    guide: Annotated[Id | None, Query(description="whose list, for a manager or head office")] = None,
    date: Annotated[str | None, Query(max_length=10)] = None,
) -> Response:
    """Today's list of the guide who signed in; the sign-in page where nobody has."""
    caller = call.caller
    if caller is None or caller.role not in HOMES:
        return _html(request, runtime, "login.html", lang)
    if caller.role == "manager" and guide is None:
        return RedirectResponse("/manager", 307)
    if caller.role in ("operator", "admin") and guide is None:
        guide = _some_guide(runtime)
    guide_id = guide or caller.subject
    found: dict[str, Any] | None = None
    try:
        check_guide(runtime, caller, guide_id)
        found = contact_list(runtime, caller, guide_id, list_date(runtime, call.live, guide_id, date))
    except ApiError as error:
        if error.status not in (404, 409):
            raise
    if found:
        runtime.metrics.list_size.observe(len(found["items"]))
        audit(runtime, call, "list.view", detail=f"{guide_id} {found['date']}"[:500])
    language = _language(request, lang)
    people = runtime.served.guides.get(guide_id, {})
    return _html(
        request,
        runtime,
        "guide.html",
        lang,
        caller=caller,
        keep=f"&guide={quote(guide, safe='')}" if guide else "",
        list=found,
        guide_name=people.get("name") or people.get("display_name") or guide_id,
        as_of=runtime.served.as_of,
        notice=str(runtime.ledger.rules().get("notice") or ""),
        back="/manager" if caller.role == "manager" else "",
        removed_rows=_counts(((row["reason"], row["count"]) for row in found["removed"]), language) if found else [],
        excluded_rows=_counts(found["excluded"].items(), language) if found else [],
    )


@routes.get("/guide/members/{member_id}")
def member_page(member_id: Id, request: Request, runtime: State, call: Asked, lang: Language = None) -> Response:
    """A member's card with timeline and suggested items."""
    caller = call.caller
    if caller is None or caller.role not in HOMES:
        return _html(request, runtime, "login.html", lang)
    answer = member_answer(runtime, caller, member_id)
    audit(runtime, call, "member.view", member_id)
    t = words.labels(_language(request, lang))
    slates = [(t(title), _slate(runtime, call, caller, member_id, slate)) for slate, title in _SLATES]
    window = answer["window"]
    picture = strip(
        [str(visit.get("day") or "") for visit in answer["last_visits"]],
        dt.date.fromisoformat(runtime.served.as_of),
        window["low"],
        window["median"],
        window["high"],
    )
    return _html(request, runtime, "member.html", lang, caller=caller, m=answer, slates=slates, strip=picture)


_SLATES = (("again", "again"), ("new", "new_items"))


def _slate(runtime: Runtime, call: Call, caller: Caller, member_id: str, slate: str) -> list[dict[str, Any]]:
    answer = recommendations(
        runtime,
        call.live,
        caller,
        member_id,
        slate=slate,
        n=3,
        store_id=caller.store_id or None,
        request_id=f"{call.request_id}-{slate}",
    )
    # The popular list is no suggestion for this member: the card shows none rather than the same three twice.
    return answer["items"] if answer["personalised"] else []


@routes.get("/manager")
def manager_page(
    request: Request,
    runtime: State,
    call: Asked,
    lang: Language = None,
    store: Annotated[Id | None, Query(description="which store, for head office")] = None,
) -> Response:
    """The store's guides, how far each is, who is on leave; tasks to hand over."""
    caller = call.caller
    if caller is None or caller.role not in ("manager", "operator", "admin"):
        return _html(request, runtime, "login.html", lang)
    if caller.role == "manager":
        if store not in (None, caller.store_id):
            raise not_found("store", str(store))
        store = caller.store_id
    store = store or next(iter(sorted(runtime.served.stores)), "")
    answer = store_guides(runtime, store)
    audit(runtime, call, "store.view", detail=store)
    waiting = {}
    for row in answer["guides"]:
        shown: list[dict[str, Any]] = []
        if row["tasks"] > row["done"]:
            shown = contact_list(runtime, caller, row["guide_id"], answer["date"])["items"]
        waiting[row["guide_id"]] = [task for task in shown if task["state"] == "pending"]
    keep = f"&store={quote(store, safe='')}" if caller.role != "manager" else ""
    return _html(request, runtime, "manager.html", lang, caller=caller, store=answer, waiting=waiting, keep=keep)


@routes.get("/how-it-works")
def how_it_works(request: Request, runtime: State, lang: Language = None) -> Response:
    """What the system does, what it uses, and how to switch it off; printed from the release in use."""
    model = model_answer(runtime) if runtime.releases.ready else None
    language = _language(request, lang)
    t = words.labels(language)
    answering = [
        (
            words.word(words.TASKS, task, language),
            t(
                "answered_by_rule" if said["source"] == "fallback" else "answered_by_model",
                version=str(said["version"] or 1).split("/")[-1],
            ),
        )
        for task, said in (model["models"] if model else {}).items()
    ]
    return _html(request, runtime, "how.html", lang, model=model, answering=answering)


@routes.get("/docs")
def docs(request: Request, runtime: State) -> Response:
    """This interface, for people."""
    return _html(request, runtime, "docs.html", "en", api=request.app.openapi())


@routes.get("/openapi.json")
def openapi(request: Request) -> dict[str, Any]:
    """This interface, for programs."""
    schema: dict[str, Any] = request.app.openapi()
    return schema


@routes.get("/static/{name}")
def static(name: str, request: Request) -> Response:
    """Styles, script and icon."""
    found = static_file(name)
    if found is None:
        raise not_found("file", name)
    content, packed, media, digest = found
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable",
        "ETag": f'"{digest}"',
        "Vary": "Accept-Encoding",
    }
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(packed, 200, {**headers, "Content-Encoding": "gzip"}, media)
    return Response(content, 200, headers, media)


@routes.post("/session", response_model=SessionAnswer)
def sign_in(body: SessionPost, request: Request, runtime: State) -> Response:
    """Exchange a token for a cookie that no script can read."""
    holder = runtime.ledger.holder(body.token, runtime.now())
    if holder is None or holder.role not in HOMES:
        raise ApiError(401, "unauthenticated", "the token is unknown, expired, revoked, or not a person's")
    response = said({"role": holder.role, "home": HOMES[holder.role]})
    response.set_cookie(
        COOKIE,
        body.token,
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@routes.delete("/session", response_model=dict[str, str])
def sign_out() -> Response:
    """Forget the cookie."""
    response = said({"status": "signed out"})
    response.delete_cookie(COOKIE)
    return response


def _html(
    request: Request, runtime: Runtime, template: str, lang: str | None, *, caller: Caller | None = None, **data: Any
) -> Response:
    language = _language(request, lang)
    who = caller.token_id if caller else ""
    text = render(template, language, runtime.now().date(), who=who, keep=data.pop("keep", ""), **data).encode()
    headers = {"Vary": "Accept-Encoding, Cookie"}
    if "gzip" in request.headers.get("accept-encoding", "") and len(text) > 1000:
        text, headers["Content-Encoding"] = gzip.compress(text, 5), "gzip"
    response = Response(text, 200, headers, "text/html; charset=utf-8")
    if lang in words.LANGUAGES:
        response.set_cookie(LANGUAGE_COOKIE, language, max_age=365 * 86400, samesite="strict")
    return response


def _language(request: Request, lang: str | None) -> str:
    said_ = lang or request.cookies.get(LANGUAGE_COOKIE, "")
    return said_ if said_ in words.LANGUAGES else "zh"


def _counts(pairs: Any, language: str) -> list[tuple[str, int]]:
    return [(words.left_out_word(code, language), n) for code, n in sorted(pairs, key=lambda p: -p[1]) if n]


def _some_guide(runtime: Runtime) -> str:
    day = runtime.ledger.newest_date(None, runtime.now().date())
    heads = runtime.ledger.heads_of_store(None, day) if day else []
    return str(heads[0]["guide_id"]) if heads else ""
