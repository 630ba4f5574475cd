// The study's pages work without this. It adds keys, the time in focus, and keeps what was not sent yet over a reload.
(() => {
  "use strict";
  document.getElementById("told")?.focus();
  const form = document.querySelector("form.judge");

  // A second click on a button must not send twice; the server would not mind, but the page would flicker.
  for (const one of document.forms) {
    one.addEventListener("submit", (event) => {
      if (one.dataset.sent) return event.preventDefault();
      one.dataset.sent = "1";
      setTimeout(() => delete one.dataset.sent, 4000); // the network may have failed: let them try again
    });
  }
  // A draft goes once its answer was taken, which is when another page came; and with whoever leaves this device. A page
  // that says that something did not work, or asks for the code again, came because it was not taken: the draft stays.
  const place = form ? "draft " + form.dataset.item : "";
  const refused = document.querySelector("main[data-drafts=keep]") !== null;
  try {
    const sent = sessionStorage.getItem("sent");
    if (refused) sessionStorage.removeItem("sent");
    else if (sent && sent !== place) for (const name of [sent, "sent"]) sessionStorage.removeItem(name);
    if (!form && !refused) for (const one of document.forms) one.addEventListener("submit", () => sessionStorage.clear());
  } catch { /* private mode: nothing is kept */ }
  if (!form) return;

  const gone = () => form.elements.forgotten.value === "1";
  const fields = () => [...form.querySelectorAll("fieldset")].filter((one, place) => place === 0 || gone());
  const answered = (field) => field.querySelector("input:checked") !== null;
  const open = () => fields().find((field) => !answered(field));

  // ---- what was not sent yet, and the time in focus, live in this tab until they are sent

  // What was only looked at is no draft: it may be changed on another device meanwhile.
  const names = ["forgotten", "entailment", "trust", "comment"];
  let focus = 0, since = null, typed = document.getElementById("told") !== null;
  const read = () => { try { return JSON.parse(sessionStorage.getItem(place)) || {}; } catch { return {}; } };
  const keep = () => {
    count();
    const draft = { focus };
    if (typed) for (const name of ["nonce", ...names]) draft[name] = form.elements[name].value;
    try { sessionStorage.setItem(place, JSON.stringify(draft)); } catch { /* private mode: then not */ }
  };
  const change = () => { typed = true; keep(); };
  const draft = read();
  focus = draft.focus || 0;
  if (draft.nonce && !typed) {
    typed = true;
    form.elements.nonce.value = draft.nonce;
    for (const name of names) if (draft[name]) form.elements[name].value = draft[name];
  }

  function count() {
    const now = performance.now(), seen = document.visibilityState === "visible" && document.hasFocus();
    if (since !== null) focus += (now - since) / 1000;
    since = seen ? now : null;
  }
  count();
  for (const name of ["focus", "blur", "pagehide"]) addEventListener(name, count);
  document.addEventListener("visibilitychange", count);
  addEventListener("pagehide", () => { if (!form.dataset.sent) keep(); });
  form.addEventListener("change", change);
  form.addEventListener("input", change);

  form.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    change();
    const note = form.querySelector(".offline");
    if (!navigator.onLine) {
      delete form.dataset.sent;
      event.preventDefault();
      note.textContent = "You are offline. Your answer stays here; send it again when you are back.";
      return;
    }
    note.textContent = "";
    form.elements.focus.value = focus.toFixed(1);
    try { sessionStorage.setItem("sent", place); } catch { /* as above */ }
  });

  // ---- keys: 0 and 1, 1 to 5, Enter

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) {
      if (event.key === "Enter" && event.ctrlKey) send(event);
      return;
    }
    const at = event.target;
    if (at.matches("textarea")) return;
    if (event.key === "Enter") return at.matches("a, button") ? undefined : send(event);
    if (!/^[0-5]$/.test(event.key)) return;
    const field = at.closest("fieldset") || open() || fields()[0]; // whoever came back begins at the first question
    if (!field || !field.dataset.keys.includes(event.key)) return;
    event.preventDefault();
    const radio = field.querySelector(`input[value="${event.key}"]`);
    radio.checked = true;
    radio.dispatchEvent(new Event("change", { bubbles: true }));
    const next = open() || fields()[fields().indexOf(field) + 1];
    (next?.querySelector("input:checked") || next?.querySelector("input") || form.querySelector("button")).focus();
    if (next) next.scrollIntoView({ block: "nearest" });
  });

  function send(event) {
    event.preventDefault();
    const field = open();
    if (field) field.querySelector("input").focus();
    else form.requestSubmit();
  }
})();
