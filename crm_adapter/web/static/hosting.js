// What the page does beyond htmx: dialogs, menus, messages.  Everything works without it, by links and forms.
"use strict";

(() => {
  const root = document.getElementById("hosting");
  const dialog = document.getElementById("hosting-dialog");
  const body = document.getElementById("hosting-dialog-body");
  const toasts = document.getElementById("hosting-toasts");
  let opener = null;

  const say = (text, tone) => {
    const toast = document.createElement("div");
    toast.className = tone;
    toast.textContent = text;
    toasts.append(toast);
  };

  // Long enough to read, and longer while the pointer rests there.
  new MutationObserver((changes) => {
    for (const change of changes) {
      for (const node of change.addedNodes) {
        if (node.nodeType !== Node.ELEMENT_NODE) continue;
        const leave = () => (toasts.matches(":hover") ? setTimeout(leave, 1000) : node.remove());
        setTimeout(leave, 8000);
      }
    }
  }).observe(toasts, { childList: true });

  const closeMenus = (except) => {
    for (const menu of root.querySelectorAll("details.menu[open]")) if (menu !== except) menu.open = false;
  };

  document.addEventListener("click", (event) => {
    const close = event.target.closest("[data-close]");
    if (close && dialog.contains(close)) {
      event.preventDefault();
      dialog.close();
    }
    const opens = event.target.closest('[hx-target="#hosting-dialog-body"]');
    if (opens && !dialog.contains(opens)) opener = opens.closest("details.menu")?.querySelector("summary") ?? opens;
    closeMenus(event.target.closest("details.menu"));
    if (event.target.closest("details.menu li a")) closeMenus();
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || dialog.open) return;
    const menu = event.target.closest("details.menu[open]");
    if (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
    const cancel = event.target.closest(".cell-form")?.querySelector("[data-cancel]");
    if (cancel) cancel.click();
  });

  dialog.addEventListener("close", () => {
    body.replaceChildren();
    if (opener && document.contains(opener)) opener.focus();
    opener = null;
  });

  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target !== body || !body.firstElementChild) return;
    if (event.detail.xhr.getResponseHeader("HX-Reswap") === "none") return;
    if (!dialog.open) dialog.showModal();
    body.querySelector("h2")?.focus();
  });

  // The server says when a form in the dialog is done.
  document.body.addEventListener("hosting:close", () => dialog.close());

  document.body.addEventListener("htmx:beforeSwap", (event) => {
    // A page that is not ours is the host's login after the session has ended.
    if (event.detail.shouldSwap && event.detail.xhr.getResponseHeader("X-Hosting") === null) {
      event.detail.shouldSwap = false;
      window.location.reload();
    }
  });

  document.body.addEventListener("htmx:responseError", (event) => {
    const status = event.detail.xhr.status;
    if (status === 401 || status === 403) say("Нет доступа: войдите ещё раз", "bad");
    else say("Сервер не смог выполнить запрос, попробуйте ещё раз", "bad");
  });
  document.body.addEventListener("htmx:sendError", () => say("Нет связи с сервером", "bad"));
  document.body.addEventListener("htmx:timeout", () => say("Сервер отвечает слишком долго", "bad"));

  // The export follows the filters, which change without a page load.
  document.body.addEventListener("htmx:afterSettle", () => {
    const link = document.getElementById("hosting-csv");
    if (link) link.search = window.location.search;
  });
})();
