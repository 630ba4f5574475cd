/* The page's own small script: sends what is clicked and typed to Python, and the keyboard's short cuts.
   Panels are gr.HTML whose contents are diffed in place, so focus and open editing survive a redraw. */
(() => {
  "use strict";
  const IDENTITY = ["data-field", "data-name", "data-row", "data-question", "data-item"]; // what tells one input from another
  const MAX_FILE = 10 * 1024 * 1024;
  const text = (el) => el.matches("textarea, input:not([type=checkbox]):not([type=radio])");

  /* An input's value as the user left it, and as Python last rendered it. */
  const live = (el) => (el.type === "checkbox" ? (el.checked ? "1" : "") : el.value);
  const rendered = (el) => {
    if (el.type === "checkbox" || el.type === "radio") return el.hasAttribute("checked") ? "1" : "";
    if (el.tagName === "SELECT") return el.querySelector("option[selected]")?.value ?? el.options[0]?.value ?? "";
    return el.getAttribute("value") ?? "";
  };
  const field = (el) => ({ ...el.dataset, value: live(el) });

  /* What was changed in a panel and has not reached Python yet goes along with the next click. */
  const changed = (root) =>
    [...root.querySelectorAll("[data-field]")]
      .filter((el) => (el.type === "radio" ? el.checked && !el.hasAttribute("checked") : live(el) !== rendered(el)))
      .map(field);

  /* What is told after the user's own act comes into sight, wherever it stands; and a box that was refused shows again
     how things are. Each message has a number, so that the same one told again is news, too. What Python asks to be
     looked at has one as well. */
  let acted = 0;
  const known = new Set();
  const smoothly = () => (matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth");
  function heard(root) {
    for (const el of root.querySelectorAll("[data-told], [data-show]")) {
      const news = el.dataset.told || el.dataset.show;
      if (!news || known.has(news)) continue;
      known.add(news);
      if (el.dataset.told) root.querySelectorAll("[type=checkbox][data-field]").forEach((box) => (box.checked = box.hasAttribute("checked")));
      if (Date.now() - acted > 10000) continue; // news of a job, or a reload: the reader is elsewhere
      if (el.dataset.show) bring(el);
      else el.scrollIntoView({ block: "nearest", behavior: smoothly() });
    }
  }

  /* Its step may come in sight a moment later. */
  function bring(el, tries = 20) {
    if (!el.checkVisibility()) return tries && setTimeout(bring, 100, el, tries - 1);
    el.scrollIntoView({ block: "start", behavior: smoothly() });
    el.querySelector("[tabindex='-1']")?.focus({ preventScroll: true });
  }

  /* A double click means one click, but on what leads from one thing to the next or adds a row: else a list is added
     twice, people are invited twice, and what the first click has started is told to be running already. A key has no
     detail. */
  const STEPS = /next|back|page|item|others|sort|^new$/;
  /* What follows moves up under the pointer: the second click of a double click must not take that away, too. Another
     place is another click. */
  let took = { timeStamp: -1000 };
  function twice(act, click) {
    if (!/delete|remove|drop/.test(act)) return act && click.detail > 1 && !STEPS.test(act);
    const moved = Math.abs(click.clientX - took.clientX) + Math.abs(click.clientY - took.clientY);
    if (click.timeStamp - took.timeStamp < 500 && moved < 16) return true;
    took = click;
    return false;
  }

  function bridge(element, send_to) {
    const trigger = (name, data) => { acted = Date.now(); send_to(name, data); };
    const act = (el) => trigger("click", { ...el.dataset, changed: changed(element) });
    if (element.closest("#view-top")) withSystem(send_to);
    element.addEventListener("click", (event) => {
      const el = event.target.closest("[data-act], [data-local]");
      if (!el || el.disabled || twice(el.dataset.act, event)) return;
      if (el.dataset.local) return local(el, trigger);
      act(el);
      if (el.dataset.clears) clear(element, el.dataset.clears);
    });
    element.addEventListener("change", (event) => {
      const el = event.target;
      if (el.matches("input[type=file]")) return send(el.files, trigger, () => (el.value = ""), el.dataset.for);
      if (el.dataset.field) trigger("input", field(el));
    });
    element.addEventListener("keydown", (event) => {
      const el = event.target;
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || !el.dataset.enter) return;
      event.preventDefault();
      const button = element.querySelector(`[data-act="${el.dataset.enter}"]`);
      if (button && !button.disabled) button.click();
    });
    element.addEventListener("dragover", (event) => event.target.closest("[data-drop]") && event.preventDefault());
    element.addEventListener("drop", (event) => {
      const place = event.target.closest("[data-drop]");
      if (!place) return;
      event.preventDefault();
      send(event.dataTransfer.files, trigger, () => {}, place.querySelector("input[type=file]")?.dataset.for);
    });
    /* A box that the user has ticked ignores its attribute; follow Python all the same. And a redraw may turn one
       input into another: what is being typed was meant for the first, and must not land in the second. */
    new MutationObserver((records) => {
      for (const { target: el, attributeName: name } of records) {
        if (IDENTITY.includes(name) && el === document.activeElement && text(el)) {
          el.value = rendered(el);
          el.blur();
          getSelection().removeAllRanges();
        }
        if (name === "checked") el.checked = el.hasAttribute("checked");
        if (name === "selected" && el.hasAttribute("selected")) el.closest("select").value = el.value;
        if (name === "open" && el.tagName === "DIALOG") continue;
      }
      follow(element);
      heed(element);
      land(element);
      heard(element);
    }).observe(element, { subtree: true, attributes: true, attributeFilter: ["checked", "selected", "data-told", "data-show", ...IDENTITY], childList: true, characterData: true });
    heed(element);
    land(element);
    heard(element);
  }

  /* The projector, where Python asks for it: by a count that grows. The panel may be there before its observer is. */
  let projected = "0";
  function heed(root) {
    const asked = root.querySelector("[data-projected]")?.dataset.projected;
    if (asked === undefined || asked === projected) return;
    projected = asked;
    project(true);
  }

  /* The cursor goes into a box that Python names, once, and as an answer to a click: after a reload it is old news. */
  let landed = "";
  function land(root) {
    const el = root.querySelector("[data-land]");
    if (!el || el.dataset.land === landed) return;
    landed = el.dataset.land;
    if (Date.now() - acted < 10000) el.focus();
  }

  function clear(root, name) {
    const el = root.querySelector(`[data-field="${name}"]`);
    if (el) { el.value = ""; el.focus(); }
  }

  /* A conversation stays at its end while it grows, but for a reply longer than the log, whose question stays in sight;
     unless the reader has scrolled up, or down into that reply. */
  const rest = (log) => {
    const latest = log.querySelector(".turn.latest");
    const start = latest ? latest.getBoundingClientRect().top - log.getBoundingClientRect().top + log.scrollTop - 6 : Infinity;
    return Math.max(0, Math.min(start, log.scrollHeight - log.clientHeight));
  };
  function follow(root) {
    const log = root.querySelector("[data-follow]");
    if (!log) return;
    const wanted = rest(log);
    const by = log.scrollTop - Math.min(log._held ?? 0, log.scrollHeight - log.clientHeight); // the reader's own scrolling
    if (by > -80 && (by < 3 || wanted > log.scrollTop)) log.scrollTop = wanted;
    log._held = wanted;
  }

  /* A file goes to Python as it is, with what its input is for; what it holds is checked there, not by its name. */
  function send(files, trigger, done, what) {
    const file = files && files[0];
    if (!file) return;
    const about = { name: file.name, size: file.size, for: what };
    if (file.size > MAX_FILE) { trigger("upload", about); return done(); }
    const reader = new FileReader();
    reader.onload = () => {
      trigger("upload", { ...about, data: String(reader.result).split(",")[1] || "" });
      done();
    };
    reader.onerror = () => { trigger("upload", { ...about, unreadable: true }); done(); };
    reader.readAsDataURL(file);
  }

  /* A file from Python: {name, text}, or {name, base64} where it isn't text. */
  function save(file) {
    if (!file || !file.name) return;
    const link = document.createElement("a");
    const content = file.base64 ? Uint8Array.from(atob(file.base64), (c) => c.charCodeAt(0)) : file.text;
    link.href = URL.createObjectURL(new Blob([content], { type: file.type || "text/plain;charset=utf-8" }));
    link.download = file.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  function local(el, trigger) {
    if (el.dataset.local === "keys") document.querySelector("#keys-dialog")?.showModal();
    if (el.dataset.local === "projector") project(true);
    if (el.dataset.local === "close") el.closest("dialog")?.close();
    if (el.dataset.local === "theme") {
      const dark = !document.body.classList.contains("dark");
      paint(dark);
      remember("unedit-theme", dark ? "dark" : "light");
      trigger("click", { act: "theme", dark: dark ? "1" : "" });
    }
  }

  const paint = (dark) => document.body.classList.toggle("dark", dark);
  /* Gradio follows a system that turns dark in the evening; what Python draws has to, too, and who chose has chosen. */
  function withSystem(send_to) {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", ({ matches }) => {
      const chosen = recall("unedit-theme");
      const dark = chosen ? chosen === "dark" : matches;
      setTimeout(() => { paint(dark); send_to("click", { act: "theme", dark: dark ? "1" : "" }); });
    });
  }
  function remember(name, value) { try { localStorage.setItem(name, value); } catch { /* private window */ } }
  function recall(name) { try { return localStorage.getItem(name); } catch { return null; } }

  /* Called once when the page has loaded: the session's id (this browser tab's own) and whether it is dark. */
  function hello() {
    let id = null;
    try { id = sessionStorage.getItem("unedit-session"); } catch { /* storage is off: a session until reload */ }
    if (!id) {
      id = Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
      try { sessionStorage.setItem("unedit-session", id); } catch { /* as above */ }
    }
    const asked = new URLSearchParams(location.search).get("__theme");
    const wanted = asked || recall("unedit-theme");
    if (wanted) paint(wanted === "dark");
    const query = new URLSearchParams(location.search);
    const begin = { browser: speaks() };
    for (const name of ["preset", "projector", "lang"]) if (query.has(name)) begin[name] = query.get(name);
    return [id, document.body.classList.contains("dark") ? "1" : "", JSON.stringify(begin)];
  }

  /* The projector: the chat step alone, in large type. Everything else is hidden by the style. */
  const projecting = () => document.body.classList.contains("projector");
  function project(on) {
    if (on) document.querySelectorAll("#steps [role=tab]")[4]?.click();
    document.body.classList.toggle("projector", on);
    document.activeElement?.blur();
    document.querySelectorAll("[data-follow]").forEach((log) => (log.scrollTop = rest(log)));
  }

  /* The keys of a presentation press the button of the chat step that names them. Never while a text box is in use. */
  const PAGES = { PageDown: "n", PageUp: "p" }; // what the remote controls of presenters send
  function present(event) {
    const view = document.querySelector("#view-chat");
    const el = document.activeElement;
    if (event.altKey || event.ctrlKey || event.metaKey || event.isComposing || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]") || !view?.checkVisibility()) return;
    if (el?.matches("textarea, select, [contenteditable=true], input:not([type=radio]):not([type=checkbox])")) return;
    if (el?.matches("input[type=radio]") && event.key.startsWith("Arrow")) return;
    const key = (projecting() && PAGES[event.key]) || (event.key.length === 1 ? event.key.toLowerCase() : event.key);
    if (key === "f") { event.preventDefault(); return project(!projecting()); }
    const button = key === "s" ? view.querySelector("[data-stops]") : [...view.querySelectorAll("[data-key]")].find((b) => b.dataset.key === key);
    if (!button || button.disabled) return;
    event.preventDefault();
    if (el?.matches("input[type=radio]")) el.blur(); // else the arrows of a vote would choose another layout
    button.click();
  }

  /* The language that Gradio chose for this browser: its own label says it (see ui/app.py). */
  const speaks = () => document.querySelector("#language label span, #language")?.textContent.trim().slice(0, 2) || navigator.language.slice(0, 2);

  const typing = (el) => el && text(el) && el.value !== "";
  document.addEventListener("keydown", (event) => {
    if (event.altKey && !event.ctrlKey && !event.metaKey && /^Digit[1-8]$/.test(event.code)) {
      event.preventDefault();
      project(false);
      document.querySelectorAll("#steps [role=tab]")[Number(event.code.slice(5)) - 1]?.click();
    } else if (event.key === "Escape" && projecting() && !document.querySelector("dialog[open]")) {
      project(false);
    } else if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
      [...document.querySelectorAll("[data-stops]")].filter((el) => el.checkVisibility()).pop()?.click();
    } else if (event.key === "?" && !typing(document.activeElement) && !document.activeElement?.matches("input, textarea")) {
      document.querySelector("#keys-dialog")?.showModal();
    } else present(event);
  });

  /* The step that the user chose just now, as a text; "" where Python did. */
  let clicked = { step: "", at: 0 };
  document.addEventListener("click", (event) => {
    const tab = event.target.closest?.("#steps [role=tab]");
    if (tab) clicked = { step: String([...tab.parentNode.querySelectorAll("[role=tab]")].indexOf(tab) + 1), at: Date.now() };
  }, true);

  /* Another step begins at its top; the window's place belonged to the one before. */
  let shown = "";
  new MutationObserver(() => {
    const now = document.querySelector("#steps [role=tab][aria-selected=true]")?.id || "";
    if (shown && now && now !== shown) window.scrollTo(0, 0);
    shown = now || shown;
  }).observe(document.documentElement, { subtree: true, attributes: true, attributeFilter: ["aria-selected"] });
  const step = () => (Date.now() - clicked.at < 1000 ? clicked.step : "");

  /* A chart that was drawn while its step was hidden has Plotly's own width, wider than its card. When the page's height
     changes, as it does when another step comes in sight, such a chart is measured again: Plotly heeds "resize". */
  const loose = (plot) => {
    const drawn = plot.querySelector(".main-svg");
    return drawn && plot.clientWidth > 0 && Math.abs(Number(drawn.getAttribute("width")) - plot.clientWidth) > 2;
  };
  new ResizeObserver(() => {
    if ([...document.querySelectorAll(".js-plotly-plot")].some(loose)) window.dispatchEvent(new Event("resize"));
  }).observe(document.documentElement);

  window.unedit = { bridge, hello, save, step };
})();
