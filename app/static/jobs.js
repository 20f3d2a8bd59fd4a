// Keeps the list fresh. htmx asks for the page anew and morphs what changed, so that focus,
// selection and scroll position stay where they are.
"use strict";

setInterval(() => {
  const list = document.getElementById("jobs");
  if (!document.hidden && list) htmx.trigger(list, "refresh");
}, 2000);
