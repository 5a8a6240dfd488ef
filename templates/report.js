"use strict";
(() => {
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const aside = document.getElementById("requests");
  let chosen = null;

  const element = (name, text, kind) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };

  function item([time, code, verb, object, source, agent, id]) {
    const made = element("li");
    const bad = Number(code) >= 400 ? "code bad" : "code";
    made.append(element("span", code, bad), " " + time + " " + verb + " " + object);
    made.append(element("div", [source && "from " + source, agent, id && "Audit-ID " + id].filter(Boolean).join(" | "), "quiet"));
    return made;
  }

  function show(button) {
    if (chosen) chosen.removeAttribute("aria-current");
    chosen = button;
    aside.replaceChildren();
    aside.classList.toggle("open", Boolean(button));
    if (!button) return;
    button.setAttribute("aria-current", "true");
    const known = facts.details[Number(button.dataset.d)];
    const close = element("button", "close", "close");
    close.type = "button";
    close.addEventListener("click", () => { show(null); button.focus(); });
    aside.append(close, element("h2", known.title), element("p", known.words, "quiet"));
    if (known.command) aside.append(element("p", "All of them:", "quiet"), element("code", known.command));
    const list = element("ol");
    for (const request of known.requests) list.append(item(request));
    aside.append(list);
    if (!known.requests.length) aside.append(element("p", "Single requests are not in these counts.", "quiet"));
  }

  function neighbour(button, key) {
    const cell = button.closest("td");
    const row = cell.parentElement;
    const place = cell.cellIndex;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 }[key];
    const across = key === "ArrowRight" || key === "ArrowLeft";
    const rows = [...row.parentElement.rows];
    let at = across ? place : rows.indexOf(row);
    for (;;) {
      at += step;
      const next = across ? row.cells[at] : rows[at] && rows[at].cells[place];
      if (!next) return null;
      const found = next.querySelector("button");
      if (found) return found;
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-d]");
    if (button) show(button);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && chosen) {
      const button = chosen;
      show(null);
      button.focus();
    }
    const button = event.target.closest && event.target.closest("button[data-d]");
    if (!button || !event.key.startsWith("Arrow")) return;
    const next = neighbour(button, event.key);
    event.preventDefault();
    if (next) {
      next.focus();
      show(next);
    }
  });
  addEventListener("beforeprint", () => { for (const each of document.querySelectorAll("details")) each.open = true; });
})();
