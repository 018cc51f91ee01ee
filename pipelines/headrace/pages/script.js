"use strict";
(() => {
  const $ = (selector, root) => [...(root || document).querySelectorAll(selector)];
  const make = (name, text, attributes) => {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    for (const key in attributes || {}) made.setAttribute(key, attributes[key]);
    return made;
  };

  // Contents: closed where they stand above the text; the section in view is marked.
  const contents = document.querySelector("nav details");
  const wide = matchMedia("(min-width: 62rem)");
  const fold = () => { if (contents) contents.open = wide.matches; };
  fold();
  wide.addEventListener("change", fold);
  const links = new Map($("nav a").map((link) => [link.hash.slice(1), link]));
  $("a[href^='#']").forEach((link) => link.addEventListener("click", (event) => {
    // A frame of another site (MLflow, notebooks) may not follow links within itself.
    const target = document.getElementById(link.hash.slice(1));
    if (!target) return;
    event.preventDefault();
    target.scrollIntoView();
    target.focus({ preventScroll: true });
    if (!wide.matches && contents && contents.contains(link)) contents.open = false;
  }));
  const sections = $("main > section");
  let waits = false;
  const mark = () => {
    waits = false;
    let current = sections[0];
    for (const section of sections) if (section.getBoundingClientRect().top < 120) current = section;
    if (innerHeight + scrollY >= document.documentElement.scrollHeight - 4 && scrollY > 0) current = sections[sections.length - 1];
    links.forEach((link, id) => current && id === current.id ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current"));
  };
  addEventListener("scroll", () => { if (!waits) { waits = true; requestAnimationFrame(mark); } }, { passive: true });
  mark();

  // Light or dark: the system's, until the reader chooses. A sandboxed frame has no storage.
  const root = document.documentElement;
  const store = (value) => { try { return value === undefined ? localStorage.getItem("headrace-theme") : localStorage.setItem("headrace-theme", value); } catch { return null; } };
  const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const kept = store();
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  const theme = make("button", "", { type: "button", class: "theme" });
  const name = () => { theme.textContent = isDark() ? "Light" : "Dark"; theme.setAttribute("aria-label", isDark() ? "Light colours" : "Dark colours"); };
  theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; store(root.dataset.theme); name(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  document.querySelector("header").append(theme);
  name();

  // Print shows what is folded.
  let folded = [];
  addEventListener("beforeprint", () => { folded = $("main details:not([open])"); folded.forEach((item) => { item.open = true; }); });
  addEventListener("afterprint", () => folded.forEach((item) => { item.open = false; }));

  // Tables: sorted by a click on a heading, searched from twelve rows on.
  const read = (cell) => {
    if (!cell) return "";
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    const text = cell.textContent.trim();
    const number = Number(text.replace(/,/g, "").replace(/%$/, "").replace("−", "-"));
    return text && !Number.isNaN(number) ? number : text;
  };
  const rank = (value) => value === "" || Number.isNaN(value) ? 2 : typeof value === "number" ? 0 : 1;
  const compare = (a, b, sign) => rank(a) - rank(b) || (rank(a) === 2 ? 0 : sign * (typeof a === "number" ? a - b || 0 : a.localeCompare(b, "en", { numeric: true })));
  $("table[data-sort]").forEach((table) => {
    const body = table.tBodies[0];
    if (!body) return;
    const rows = [...body.rows];
    const heads = $("thead th", table);
    const status = make("span", "", { role: "status", class: "sr" });
    heads.forEach((head, position) => {
      if (rows.length < 2 || !head.textContent) return;
      const button = make("button", head.textContent, { type: "button" });
      head.replaceChildren(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const first = head.classList.contains("n") ? "descending" : "ascending";
        const second = first === "ascending" ? "descending" : "ascending";
        const way = head.getAttribute("aria-sort") === first ? second : first;
        heads.forEach((other) => { if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none"); });
        head.setAttribute("aria-sort", way);
        const keyed = rows.map((row, at) => [read(row.cells[position]), at, row]);
        keyed.sort((a, b) => compare(a[0], b[0], way === "ascending" ? 1 : -1) || a[1] - b[1]);
        body.append(...keyed.map((item) => item[2]));
        status.textContent = `sorted by ${button.textContent}, ${way}`;
      });
    });
    const frame = table.parentElement;
    frame.before(status);
    if (rows.length < 12) return;
    const label = make("label", "Search ");
    const input = make("input", "", { type: "search", "aria-label": `Search in ${table.getAttribute("aria-label") || "the table"}` });
    label.append(input);
    const count = make("span", `${rows.length.toLocaleString("en")} rows`, { role: "status", class: "d" });
    const find = make("div", "", { class: "find" });
    find.append(label, count);
    frame.before(find);
    const texts = rows.map((row) => row.textContent.toLowerCase());
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, at) => {
        row.hidden = !words.every((word) => texts[at].includes(word));
        if (!row.hidden) shown += 1;
      });
      count.textContent = words.length ? `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows` : `${rows.length.toLocaleString("en")} rows`;
    });
  });
})();
