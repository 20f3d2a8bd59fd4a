// The live page of a job. The event stream is only a bell: when it rings, the server renders the
// part that changed and htmx morphs it in, so every fact is written in one place.
"use strict";

(() => {
  const NAMED = ["status", "attempt", "evaluation", "checkpoint", "policy", "request", "extended",
    "warning"];
  const SUMMARY_MS = 10_000; // a screen reader is told of the curve no more often
  const RETRY_MS = 3000;
  const byId = (id) => document.getElementById(id);

  // Calls at once, then at most once in `ms`, the last call included.
  function throttled(ms, call) {
    let next = 0;
    let timer = null;
    return () => {
      if (timer !== null) return;
      const wait = Math.max(0, next - Date.now());
      timer = setTimeout(() => {
        timer = null;
        next = Date.now() + ms;
        call();
      }, wait);
    };
  }

  const refreshOverview = throttled(1000, () => htmx.trigger(byId("overview"), "refresh"));
  const refreshResults = throttled(1000, () => htmx.trigger(byId("results"), "refresh"));
  const refreshCurve = throttled(10_000, refreshResults); // training episodes between evaluations

  function refreshAll() {
    refreshOverview();
    refreshResults();
  }

  function say(state, text) {
    const connection = byId("connection");
    connection.dataset.state = state;
    if (connection.textContent !== text) connection.textContent = text;
  }

  function listen(address) {
    const stream = new EventSource(address);
    stream.onopen = () => say("live", "Live");
    stream.onerror = () => {
      say("lost", "Reconnecting…");
      if (stream.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
      setTimeout(() => {
        listen(address);
        refreshAll(); // what happened meanwhile
      }, RETRY_MS);
    };
    for (const name of NAMED) stream.addEventListener(name, refreshAll);
    stream.addEventListener("progress", () => {
      refreshOverview();
      refreshCurve();
    });
    stream.addEventListener("end", () => {
      stream.close();
      say("ended", "");
      refreshAll();
    });
  }

  // A link marked data-confirm leads to a page with a question; here its form opens as a dialog.
  async function ask(link) {
    const answer = await fetch(link.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) return location.assign(link.href);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const dialog = byId("confirm");
    dialog.firstElementChild.replaceWith(document.adoptNode(page.getElementById("question")));
    dialog.showModal();
  }

  async function copy(button) {
    await navigator.clipboard.writeText(byId(button.dataset.copy).textContent);
    const label = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = label), 1500);
  }

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-confirm], [data-dismiss], [data-copy]");
    if (!target || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (target.matches("[data-copy]")) return void copy(target);
    if (target.matches("[data-dismiss]") && !target.closest("dialog")) return;
    event.preventDefault();
    if (target.matches("[data-dismiss]")) byId("confirm").close();
    else ask(target);
  });

  const tellSummary = throttled(SUMMARY_MS, () => {
    byId("summary").textContent = document.querySelector(".curve").dataset.summary;
  });

  let drawn = "";

  function show() {
    const figure = document.querySelector(".curve");
    if (figure.dataset.curve !== drawn) {
      drawn = figure.dataset.curve;
      drawCurve(byId("chart"), JSON.parse(drawn));
      tellSummary();
    }
    // A browser offers its clipboard only over HTTPS or on localhost.
    if (navigator.clipboard) for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
  }

  show();
  document.addEventListener("htmx:response:error", (event) => {
    if (event.detail.ctx.response.status === 401) location.reload(); // says how to log in again
    else setTimeout(refreshAll, RETRY_MS);
  });
  document.addEventListener("htmx:error", () => setTimeout(refreshAll, RETRY_MS));
  document.addEventListener("htmx:after:swap", show);
  const address = byId("overview").dataset.events;
  if (address) listen(address);
})();
