// What the page does beyond htmx: dialogs, menus, messages.  Everything works without it, by links and forms.
"use strict";

(() => {
  const root = document.getElementById("hosting");
  const dialog = document.getElementById("hosting-dialog");
  const body = document.getElementById("hosting-dialog-body");
  const toasts = document.getElementById("hosting-toasts");
  let opener = null;
  let returnTo = null;

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
        if (isLast(node)) node.previousElementSibling.remove();
        const leave = () => (toasts.matches(":hover") ? setTimeout(leave, 1000) : node.remove());
        setTimeout(leave, node.querySelector("form") ? 20000 : 8000);
      }
    }
  }).observe(toasts, { childList: true });

  // What was taken back is not offered again.
  toasts.addEventListener("htmx:afterRequest", (event) => event.target.closest("#hosting-toasts > div")?.remove());

  // The same message again, as from a page that polls a database which is away, does not pile up.
  const isLast = (node) => node.previousElementSibling?.textContent === node.textContent;

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
    if (returnTo && document.contains(returnTo)) returnTo.focus();
    returnTo = null;
  });

  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target !== body || !body.firstElementChild) return;
    if (event.detail.xhr.getResponseHeader("HX-Reswap") === "none") return;
    if (!dialog.open) {
      // The event of the dialog before may come late, after somebody has asked for this one.
      returnTo = opener;
      dialog.showModal();
    }
    (body.querySelector("[autofocus]") ?? body.querySelector("h2"))?.focus();
  });

  // The server says when a form in the dialog is done.
  document.body.addEventListener("hosting:close", () => dialog.close());

  // What somebody is typing is theirs: nothing replaces it, and only one cell is edited at a time.
  const fields = "input:not([type=hidden]), select";
  const editor = () => root.querySelector(".cell-form");
  // Tab goes on to the next cell, as in a spreadsheet, and saves what was typed; Enter and Escape are the two buttons.
  let onward = null;
  root.addEventListener("keydown", (event) => {
    const form = event.target.closest(".cell-form");
    if (event.key !== "Tab" || form === null || !event.target.matches(fields)) return;
    const inputs = [...form.querySelectorAll(fields)];
    if (event.target !== (event.shiftKey ? inputs[0] : inputs.at(-1))) return;
    const cells = [...root.querySelectorAll("a.edit, .cell-form")];
    const next = cells[cells.indexOf(form) + (event.shiftKey ? -1 : 1)];
    if (next === undefined) return;
    event.preventDefault();
    if (isDirty(form)) {
      onward = next.id;
      form.requestSubmit();
    } else next.click();
  });
  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (!event.detail.successful) onward = null;
  });
  document.body.addEventListener("htmx:afterSettle", () => {
    const next = onward === null ? null : document.getElementById(onward);
    onward = null;
    // What could not be saved stays open and says why.
    if (editor() === null) next?.click();
  });

  const isDirty = (form) =>
    [...form.querySelectorAll(fields)].some((field) =>
      field.options ? [...field.options].some((option) => option.selected !== option.defaultSelected) : field.value !== field.defaultValue
    );
  const shown = new WeakMap();

  // A region with live controls is not swapped under somebody's hand: what comes while a button is held down, a menu or a cell
  // is open, or a row waits for its answer, is asked for again when the hand is free.
  const filters = document.getElementById("hosting-filters");
  const search = document.getElementById("hosting-q");
  const isTable = (element) => element?.id === "hosting-main";
  const held = "details.menu[open], input[name=ids]:checked";
  const working = new Set();
  const leading = new Set();
  let pressed = false;
  let later = null;
  let asked = search?.value;

  const isBusy = () =>
    pressed || working.size > 0 || editor() !== null || root.querySelector(held) !== null;
  const isTyping = () => filters.contains(document.activeElement) && !pressed && working.size === 0;
  const postpone = (elt) => {
    // A search brings fresh rows as well, so it is never put back by a refresh.
    if (later !== "search") later = elt === filters ? "search" : "refresh";
  };
  const catchUp = () => {
    if (later === null || isBusy() || leading.size > 0) return;
    const wanted = later;
    later = null;
    if (wanted === "search") htmx.trigger(filters, "submit");
    else htmx.trigger(document.body, "hosting:refresh");
  };

  root.addEventListener("pointerdown", () => (pressed = true));
  for (const name of ["pointerup", "pointercancel", "dragend"]) {
    // The click comes after the release, and it goes first.
    document.addEventListener(name, () => setTimeout(() => ((pressed = false), catchUp()), 0), true);
  }
  search?.addEventListener("input", () => closeMenus());

  // Links lead from the list as it is typed now, not as it was drawn: a click may be faster than the search.
  document.body.addEventListener("htmx:configRequest", (event) => {
    const { elt, target } = event.detail;
    if (filters === null || !isTable(target)) return;
    if (elt === filters) {
      asked = search.value;
    } else if (elt.id === "hosting-reload") {
      event.detail.path = window.location.pathname + window.location.search;
    } else if (elt.matches("a")) {
      const url = new URL(event.detail.path, window.location.href);
      const before = url.search;
      for (const field of filters.querySelectorAll(fields)) {
        if ((url.searchParams.get(field.name) ?? "") === field.value.trim()) continue;
        if (field.value.trim()) url.searchParams.set(field.name, field.value);
        else url.searchParams.delete(field.name);
      }
      if (url.search !== before) url.searchParams.delete("page");
      event.detail.path = url.pathname + url.search;
      asked = search.value;
    }
  });

  // Asked before anything under way is given up for it.
  document.body.addEventListener("htmx:confirm", (event) => {
    const { elt, triggeringEvent } = event.detail;
    const isBackground = isTable(elt) || (elt === filters && !isTyping());
    const isKnown = elt === filters && triggeringEvent?.type === "input" && search.value === asked;
    if (!isKnown && !(isBackground && (isBusy() || (isTable(elt) && leading.size > 0)))) return;
    event.preventDefault();
    if (!isKnown) postpone(elt);
  });

  document.body.addEventListener("htmx:beforeRequest", (event) => {
    const { elt, target, xhr } = event.detail;
    const form = editor();
    if (form !== null && !form.contains(elt)) {
      const opensAnother = elt.matches("a.edit");
      if (isDirty(form) && (opensAnother || target.contains(form))) {
        event.preventDefault();
        asked = null;
        say("Сначала сохраните или отмените изменение", "bad");
        form.querySelector(fields).focus();
        return;
      }
      if (opensAnother) {
        const cell = form.closest("td");
        cell.replaceChildren(...(shown.get(cell) ?? []));
        htmx.process(cell);
      }
    }
    if (isTable(elt) || (!isTable(target) && elt.closest("#hosting-main") === null)) return;
    const busy = isTable(target) ? leading : working;
    if (busy === leading) later = null;
    busy.add(xhr);
    xhr.addEventListener("loadend", () => setTimeout(() => (busy.delete(xhr), catchUp()), 0));
  });

  document.addEventListener("toggle", catchUp, true);
  root.addEventListener("change", (event) => {
    if (event.target.name === "ids") catchUp();
  });
  document.body.addEventListener("hosting:untick", () => {
    for (const box of root.querySelectorAll("input[name=ids]:checked")) box.checked = false;
  });

  // A swap, or a button that is disabled while it works, must not send the keyboard back to the top of the page.
  let focused = null;
  let focusedRow = null;
  root.addEventListener("focusin", (event) => {
    focused = event.target;
    focusedRow = focused.closest("tbody tr")?.id ?? null;
    // A browser is content when half of a link shows at the edge of the line that it scrolls.
    if (focused.closest("thead, .tools, .hosting-chips, .hosting-totals")) focused.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
  const keepFocus = () => {
    if (focused === null || document.activeElement !== document.body || dialog.open) return;
    const row = focusedRow === null ? null : document.getElementById(focusedRow);
    const place = focused.isConnected ? focused : row?.querySelector("summary") ?? document.getElementById("hosting-main");
    place?.focus({ preventScroll: true });
  };
  for (const name of ["htmx:afterSettle", "htmx:afterRequest"]) {
    document.body.addEventListener(name, () => {
      catchUp();
      setTimeout(keepFocus, 50);
    });
  }

  document.body.addEventListener("htmx:beforeSwap", (event) => {
    const { elt } = event.detail.requestConfig;
    if (event.detail.shouldSwap && ((isTable(elt) && isBusy()) || (elt === filters && isBusy() && !isTyping()))) {
      event.detail.shouldSwap = false;
      postpone(elt);
      return;
    }
    if (elt.matches("a.edit")) {
      const cell = event.detail.target;
      // The form lies over the cell, which keeps its height.
      cell.style.height = `${cell.offsetHeight}px`;
      shown.set(cell, [...cell.childNodes]);
    }
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

  // What is made of the list follows the filters, which change without a page load.
  document.body.addEventListener("htmx:afterSettle", () => {
    for (const link of root.querySelectorAll("[data-filtered]")) link.search = window.location.search;
  });
  document.body.addEventListener("htmx:configRequest", (event) => {
    if ("filtered" in event.detail.elt.dataset) event.detail.path += window.location.search;
  });

  // To paste elsewhere: an address, or this list as it is filtered. Shown only where there is a script to copy.
  root.classList.add("scripted");
  root.addEventListener("click", async (event) => {
    const copy = event.target.closest("[data-copy]");
    if (copy === null) return;
    const text = copy.dataset.copy || window.location.href;
    closeMenus();
    try {
      await navigator.clipboard.writeText(text);
      say(`Скопировано: ${text}`, "good");
    } catch {
      // A page without TLS has no clipboard; the text is there to be marked.
      say(text, "bad");
    }
  });
})();
