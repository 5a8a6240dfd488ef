"use strict";
(() => {
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const told = document.getElementById("told");
  const source = document.getElementById("source");
  const aside = document.querySelector("aside");
  const tables = [...document.querySelectorAll(".table")];
  const people = [...document.querySelectorAll(".people a")];
  const filter = document.getElementById("filter");
  const only = document.getElementById("only");
  let pinned = null;

  const element = (name, text, kind) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };

  function tell(cell) {
    told.replaceChildren();
    for (const line of source.querySelectorAll(".hit")) line.classList.remove("hit");
    if (!cell) return;
    const known = facts.cells[Number(cell.dataset.c)];
    const name = cell.closest("tr").dataset.name;
    told.append(element("h2", cell.dataset.v + " " + name + " by " + cell.closest(".table").dataset.who));
    const list = element("ol");
    let first = null;
    for (const [rule, level, where, because] of known.cases) {
      const item = element("li");
      item.append(element("span", level, "cell chip " + facts.classes[level]));
      const lines = rule < 0 ? null : facts.rules[rule];
      const by = rule < 0 ? "no rule applies" : "rules[" + rule + "], " + (lines[0] === lines[1] ? "line " + lines[0] : "lines " + lines[0] + "\u2013" + lines[1]);
      item.append(" " + (where ? where + ": " : "") + by);
      if (because) item.append(element("div", "It matches: " + because + ".", "quiet"));
      list.append(item);
      if (lines) {
        first = first || lines[0];
        for (let n = lines[0]; n <= lines[1]; n += 1) {
          const line = source.children[n - 1];
          if (line) line.classList.add("hit");
        }
      }
    }
    if (known.cases.length > 1) told.append(element("p", "Depends on what is on no axis; the first that fits decides:", "quiet"));
    told.append(list);
    if (known.cut) told.append(element("p", "More rules may decide than are told here.", "alarm"));
    if (cell.dataset.why) told.append(element("p", "Sensitive: " + cell.dataset.why + ".", "quiet"));
    if (cell.dataset.concern) told.append(element("p", "Look twice: it is " + (known.cases.length > 1 ? "in part " : "") + cell.dataset.concern + ".", "alarm"));
    const line = first && source.children[first - 1];
    if (line) source.scrollTop = line.offsetTop - source.offsetTop - 40;
  }

  function person(index) {
    tables.forEach((table, place) => table.classList.toggle("gone", place !== index));
    people.forEach((link, place) => link.setAttribute("aria-current", String(place === index)));
    sift();
  }

  function pin(cell) {
    if (pinned) pinned.removeAttribute("aria-current");
    pinned = cell;
    if (cell) cell.setAttribute("aria-current", "true");
    aside.classList.toggle("open", Boolean(cell));
    if (cell) tell(cell);
  }

  function follow() {
    const found = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const table = found && found.closest(".table");
    if (!table) return;
    person(tables.indexOf(table));
    pin(found.matches("a.cell") ? found : null);
    found.scrollIntoView({ block: pinned ? "center" : "start" });
  }

  function sift() {
    const asked = filter.value.trim().toLowerCase();
    let shown = 0;
    for (const table of tables) {
      if (table.classList.contains("gone")) continue;
      for (const body of table.querySelectorAll("tbody")) {
        let some = false;
        for (const row of body.querySelectorAll("tr[data-label]")) {
          const fits = row.dataset.label.includes(asked) && (!only.checked || row.querySelector(".sensitive"));
          row.classList.toggle("gone", !fits);
          some = some || fits;
          shown += fits ? 1 : 0;
        }
        body.classList.toggle("gone", !some);
      }
    }
    document.getElementById("count").textContent = asked || only.checked ? shown + " rows" : "";
  }

  function walk(event) {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    const cell = event.target.closest("a.cell");
    if (event.key === "Escape") { pin(null); return; }
    if (!step || !cell) return;
    event.preventDefault();
    const rows = [...cell.closest(".table").querySelectorAll("tr[data-label]")].filter((row) => row.offsetParent);
    let y = rows.indexOf(cell.closest("tr"));
    let x = cell.closest("td").cellIndex;
    for (;;) {
      y += step[0];
      x += step[1];
      const place = rows[y] && rows[y].cells[x];
      if (!place || x < 1) return;
      const next = place.querySelector("a.cell");
      if (next) { next.focus(); tell(next); return; }
    }
  }

  document.querySelector(".tools").hidden = false;
  addEventListener("hashchange", follow);
  addEventListener("keydown", walk);
  filter.addEventListener("input", sift);
  only.addEventListener("change", sift);
  for (const table of tables) {
    table.addEventListener("mouseover", (event) => { const cell = event.target.closest("a.cell"); if (cell && !pinned) tell(cell); });
    table.addEventListener("click", (event) => {
      const cell = event.target.closest("a.cell");
      if (!cell) return;
      event.preventDefault();
      history.replaceState(null, "", cell.getAttribute("href"));
      pin(pinned === cell ? null : cell);
    });
  }
  people.forEach((link, place) => link.addEventListener("click", (event) => {
    event.preventDefault();
    pin(null);
    person(place);
  }));
  person(0);
  follow();
})();
