// Says so when the manager stops answering: a page that silently stands still is worse than none.
const lost = document.getElementById("lost");

function tell() {
  const shown = document.getElementById("shown-at");
  lost.textContent = `The manager does not answer. What you see is from ${shown ? shown.textContent : "before"}.`;
  lost.hidden = false;
}

document.body.addEventListener("htmx:sendError", tell);
document.body.addEventListener("htmx:timeout", tell);
document.body.addEventListener("htmx:responseError", tell);
document.body.addEventListener("htmx:afterOnLoad", () => { lost.hidden = true; });
