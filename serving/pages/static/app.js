"use strict";
/* The guide's and the manager's page: one tap notes an outcome, a failed post waits and is sent again, undo takes it back. */
(() => {
  const $ = (q, root = document) => root.querySelector(q);
  const words = JSON.parse($("#words").textContent);
  const say = (key, values = {}) => words[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const QUEUE = "huitou-queue-" + words.who;
  const WAIT = [2000, 5000, 15000, 60000];
  const VANISH = ["do_not_contact", "unfriended", "complaint", "wrong_person"];
  let failures = 0, timer = 0, busy = false, toastTimer = 0;

  const call = (method, url, body) => fetch(url, {
    method, credentials: "same-origin", keepalive: true,
    headers: {"Content-Type": "application/json", "X-Requested-With": "huitou"},
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const failed = status => status === 429 || status >= 500;

  /* Toast, with one action at most. */
  function toast(text, label, action, seconds = label ? 8 : 3.5) {
    const box = $("#toast");
    box.textContent = text;
    if (label) {
      const button = document.createElement("button");
      button.textContent = label;
      button.onclick = () => { box.hidden = true; action(); };
      box.append(button);
    }
    box.hidden = false;
    clearTimeout(toastTimer);
    toastTimer = setTimeout(() => { box.hidden = true; }, seconds * 1000);
  }

  /* The queue: what could not be sent yet, kept on this phone until it is. */
  const queue = () => JSON.parse(localStorage.getItem(QUEUE) || "[]");
  function keep(rows) {
    localStorage.setItem(QUEUE, JSON.stringify(rows));
    const box = $("#queue");
    box.hidden = !failures || !rows.length;
    box.textContent = say("queued", {n: rows.length});
  }
  async function send() {
    if (busy) return;
    busy = true;
    clearTimeout(timer);
    try {
      for (let rows = queue(); rows.length; rows = queue()) {
        const one = rows[0];
        let response;
        try {
          response = one.undo
            ? await call("DELETE", "/v1/contact-outcomes/" + encodeURIComponent(one.undo))
            : await call("POST", "/v1/contact-outcomes", one.body);
        } catch { response = null; }
        if (!response || failed(response.status)) {
          const wait = WAIT[Math.min(failures++, WAIT.length - 1)];
          timer = setTimeout(send, wait);
          keep(queue());
          return;
        }
        if (response.status === 401) { location.reload(); return; }
        if (!response.ok && !(one.undo && response.status === 404)) {
          const said = await response.json().catch(() => null);
          toast(say("refused_by_server", {what: said ? said.error.message : response.status}));
          if (!one.undo) back(one.body.task_id);
        }
        keep(queue().slice(1));
      }
      if (failures) { failures = 0; toast(say("sent_all")); }
      keep(queue());
    } finally { busy = false; }
  }

  /* Tasks. */
  const task = id => document.getElementById("t-" + id);
  function count() {
    const all = document.querySelectorAll(".task").length, done = document.querySelectorAll(".task.is-done").length;
    const bar = $("#day");
    if (!bar) return;
    bar.max = all || 1; bar.value = done;
    $("#day-words").textContent = say("done_of", {done, total: all});
    $("#done-title").hidden = !done;
    $("#all-done").hidden = !all || done < all;
  }
  function note(card, outcome) {
    const id = card.dataset.task, event = crypto.randomUUID ? crypto.randomUUID() : Date.now() + "-" + Math.random().toString(36).slice(2);
    const body = {event_id: event, task_id: id, outcome, at: new Date().toISOString()};
    if (card.dataset.channel) body.channel = card.dataset.channel;
    const next = card.nextElementSibling || card.previousElementSibling;
    $(".state", card).textContent = words.outcomes[outcome];
    $(".state", card).hidden = false;
    const undo = $(".undo", card);
    undo.hidden = false; undo.dataset.event = event;
    card.classList.add("is-done");
    if (VANISH.includes(outcome)) { card.hidden = true; card.classList.remove("task"); } else $("#done").append(card);
    count();
    keep([...queue(), {body}]);
    toast(say("noted", {what: words.outcomes[outcome]}), say("undo"), () => takeBack(card, event), VANISH.includes(outcome) ? 30 : 8);
    const heading = next && $("h3 a", next);
    if (heading) heading.focus({preventScroll: true});
    send();
  }
  function back(id) {
    const card = task(id);
    if (!card) return;
    card.hidden = false;
    card.classList.add("task"); card.classList.remove("is-done");
    $(".state", card).hidden = true; $(".undo", card).hidden = true;
    $("#waiting").prepend(card);
    count();
  }
  function takeBack(card, event) {
    const rows = queue(), place = rows.findIndex(row => row.body && row.body.event_id === event);
    /* The first of the queue may be on its way: undo it behind itself. */
    if (place > 0 || (place === 0 && !busy)) rows.splice(place, 1); else rows.push({undo: event});
    keep(rows);
    back(card.dataset.task);
    toast(say("undone"));
    $("h3 a", card).focus({preventScroll: true});
    send();
  }

  async function change(method, url, body) {
    try {
      const response = await call(method, url, body);
      if (response.ok) return await response.json();
      const said = await response.json().catch(() => null);
      toast(said ? said.error.message : say("failed"));
    } catch { toast(say("failed")); }
    return null;
  }

  document.addEventListener("click", async event => {
    const button = event.target.closest("button");
    if (!button) return;
    const card = button.closest("[data-task]");
    if (button.dataset.outcome && card) return note(card, button.dataset.outcome);
    if (button.classList.contains("undo") && card) return takeBack(card, button.dataset.event);
    if (button.classList.contains("copy")) {
      const text = $(".text", button.parentElement);
      try { await navigator.clipboard.writeText(text.textContent); toast(say("copied")); }
      catch {
        const range = document.createRange();
        range.selectNodeContents(text);
        getSelection().removeAllRanges(); getSelection().addRange(range);
        toast(say("copy_failed"));
      }
    }
    if (button.id === "logout") { await call("DELETE", "/session").catch(() => null); location.assign("/guide"); }
    if (button.id === "turn-off") {
      const member = button.closest("[data-member]").dataset.member;
      const consents = [{purpose: "personalised_recommendation", state: "refused"}];
      if (await change("PUT", "/v1/members/" + encodeURIComponent(member) + "/consents", {consents})) {
        $("#personalised").textContent = say("turned_off");
        button.remove();
      }
    }
    if (button.dataset.leave) {
      const guide = button.closest("[data-guide]").dataset.guide, url = "/v1/guides/" + encodeURIComponent(guide) + "/leave";
      const today = words.today;
      const done = await change(...(button.dataset.leave === "set" ? ["PUT", url, {since: today}] : ["DELETE", url]));
      if (done) location.reload();
    }
    if (button.id === "regenerate" && confirm(say("refresh_sure"))) {
      const store = $("#store");
      const asked = {date: store.dataset.date || words.today, store: store.dataset.store, reason: "manager", idempotency_key: String(Date.now())};
      if (await change("POST", "/v1/contact-lists:regenerate", asked)) toast(say("refresh_asked"));
    }
  });

  document.addEventListener("submit", async event => {
    event.preventDefault();
    const form = event.target, data = new FormData(form);
    if (form.id === "login") return signIn(data.get("token"));
    if (form.classList.contains("hand-over")) {
      const tasks = data.getAll("task");
      if (!tasks.length || !data.get("guide")) return toast(say("choose_tasks"));
      const moved = await change("POST", "/v1/contact-tasks:reassign", {task_ids: tasks, guide_id: data.get("guide")});
      if (moved) { sessionStorage.setItem("huitou-said", say("handed_over", {n: moved.moved})); location.reload(); }
    }
  });

  async function signIn(token) {
    const response = await call("POST", "/session", {token}).catch(() => null);
    if (response && response.ok) return location.replace((await response.json()).home);
    $("#login-error").hidden = false;
  }

  /* A link from the store carries the token behind the #, which no server and no log ever sees. */
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (found) { history.replaceState(null, "", location.pathname + location.search); signIn(found); }
  const later = sessionStorage.getItem("huitou-said");
  if (later) { sessionStorage.removeItem("huitou-said"); toast(later); }
  addEventListener("online", send);
  addEventListener("storage", event => { if (event.key === QUEUE) keep(queue()); });
  for (const row of queue()) {
    const card = row.body && task(row.body.task_id);
    if (card && !card.classList.contains("is-done")) {
      $(".state", card).textContent = words.outcomes[row.body.outcome]; $(".state", card).hidden = false;
      $(".undo", card).hidden = false; $(".undo", card).dataset.event = row.body.event_id;
      card.classList.add("is-done"); $("#done").append(card);
    }
  }
  count();
  if (queue().length && !$("#login")) { failures = 1; keep(queue()); send(); }
})();
