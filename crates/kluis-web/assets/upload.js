// Sends files one by one to the store service, a few at a time, and shows what became of each.
"use strict";
(() => {
  const AT_ONCE = 4;
  const SHOWN = 500;
  // failure reasons of PS3.18 I.2 in words
  const REASONS = new Map([
    [0x0110, "could not be processed; try again"],
    [0x0111, "differs from the image already stored under this identifier; kept aside"],
    [0x0122, "kind of object not supported"],
    [0x0124, "not permitted"],
    [0xa700, "too large, or the archive is full"],
    [0xa900, "does not belong to this study or kind of object"],
    [0xc000, "is no valid DICOM file"],
    [0xc122, "is in an unknown transfer syntax"],
  ]);
  const element = (id) => document.getElementById(id);
  const drop = element("drop");
  const rows = element("results").tBodies[0];
  const state = { waiting: [], running: new Map(), total: 0, bytes: 0, sent: 0, stored: 0, failed: 0, stopped: false };

  const size = (bytes) => {
    const units = ["B", "kB", "MB", "GB"];
    let unit = 0;
    let value = bytes;
    while (value >= 1000 && unit < units.length - 1) { value /= 1000; unit += 1; }
    return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
  };

  const show = () => {
    let moving = 0;
    for (const loaded of state.running.values()) moving += loaded;
    const done = state.stored + state.failed;
    element("bar").value = state.bytes > 0 ? (state.sent + moving) / state.bytes : 1;
    const finished = state.running.size === 0 && state.waiting.length === 0;
    const word = finished ? (state.stopped ? "Stopped" : "Finished") : "Uploading";
    element("summary").textContent =
      `${word}: ${done} of ${state.total} files, ${state.stored} stored, ${state.failed} not stored`;
    element("stop").hidden = finished;
    element("done").hidden = !finished || state.stored === 0;
  };

  const row = (file, text, isGood) => {
    const line = document.createElement("tr");
    for (const value of [file.webkitRelativePath || file.name, size(file.size), text]) {
      const cell = document.createElement("td");
      cell.textContent = value;
      line.append(cell);
    }
    line.cells[1].className = "number";
    line.cells[2].className = isGood ? "good" : "bad";
    if (isGood) rows.append(line); else rows.prepend(line);
    while (rows.rows.length > SHOWN) rows.deleteRow(-1);
  };

  const outcome = (request) => {
    if (request.status === 200 || request.status === 202) return ["stored", true];
    if (request.status === 401) return ["you are no longer signed in", false];
    if (request.status === 403) return ["not permitted", false];
    let answer = {};
    try { answer = JSON.parse(request.responseText); } catch { /* no report: the status says it */ }
    for (const sequence of ["00081198", "0008119A"]) {
      const reason = answer[sequence]?.Value?.[0]?.["00081197"]?.Value?.[0];
      if (reason !== undefined) return [REASONS.get(reason) ?? `refused (${reason})`, false];
    }
    return [request.status === 0 ? "the connection broke off" : `refused (${answer.message ?? request.status})`, false];
  };

  const next = () => {
    while (!state.stopped && state.running.size < AT_ONCE && state.waiting.length > 0) send(state.waiting.shift());
    show();
  };

  const send = (file) => {
    const request = new XMLHttpRequest();
    state.running.set(request, 0);
    request.open("POST", "/dicom-web/studies");
    request.setRequestHeader("Content-Type", "application/dicom");
    request.setRequestHeader("Accept", "application/dicom+json");
    request.upload.onprogress = (event) => { state.running.set(request, event.loaded); show(); };
    request.onloadend = () => {
      const [text, isGood] = request.stopped ? ["stopped", false] : outcome(request);
      if (isGood) state.stored += 1; else state.failed += 1;
      state.sent += file.size;
      state.running.delete(request);
      row(file, text, isGood);
      next();
    };
    request.send(file);
  };

  const take = (files) => {
    const list = [...files];
    if (list.length === 0) return;
    state.stopped = false;
    state.total += list.length;
    for (const file of list) { state.bytes += file.size; state.waiting.push(file); }
    element("progress").hidden = false;
    next();
  };

  const entries = (reader) => new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });

  // folders give their entries in portions
  const walk = async (first) => {
    const found = [];
    const waiting = [...first];
    while (waiting.length > 0) {
      const entry = waiting.pop();
      if (entry.isFile) {
        found.push(await new Promise((resolve, reject) => { entry.file(resolve, reject); }));
      } else {
        const reader = entry.createReader();
        for (let part = await entries(reader); part.length > 0; part = await entries(reader)) waiting.push(...part);
      }
    }
    return found;
  };

  for (const kind of ["dragenter", "dragover"]) {
    drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
  drop.addEventListener("drop", async (event) => {
    event.preventDefault();
    const items = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    take(items.length > 0 ? await walk(items) : event.dataTransfer.files);
  });
  // a file dropped beside the field must not replace the page
  for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());
  for (const id of ["files", "folder"]) {
    element(id).addEventListener("change", (event) => { take(event.target.files); event.target.value = ""; });
  }
  element("stop").addEventListener("click", () => {
    state.stopped = true;
    state.total -= state.waiting.length;
    for (const file of state.waiting) state.bytes -= file.size;
    state.waiting = [];
    for (const request of state.running.keys()) { request.stopped = true; request.abort(); }
    show();
  });
})();
