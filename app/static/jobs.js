// Keeps the list fresh. htmx asks for the page anew and morphs what changed, so that focus,
// selection and scroll position stay where they are.
"use strict";

setInterval(() => {
  const list = document.getElementById("jobs");
  if (!document.hidden && list) htmx.trigger(list, "refresh");
}, 2000);

document.addEventListener("htmx:response:error", (event) => {
  if (event.detail.ctx.response.status === 401) location.reload(); // says how to log in again
});
