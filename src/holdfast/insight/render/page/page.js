"use strict";
// Interactive heatmaps. Values come from the page's images, whose palette indices are the values' bytes.
(async () => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const made = (tag, text = "", more = {}) => Object.assign(document.createElement(tag), { textContent: text }, more);
  const steps = data.labels.length;
  const state = { part: 0, step: 0, unit: 0, sort: "", hover: null, hidden: new Set() };
  const rasters = new Map();
  let order = [], row = new Map(), shown = [], read = null;

  // Decode a PNG with a palette, 8 bits and no filters, as in this page, to width, height, palette and bytes.
  async function decoded(source) {
    const bytes = Uint8Array.from(atob(source.split(",")[1]), (c) => c.charCodeAt(0));
    const view = new DataView(bytes.buffer), chunks = {}, packed = [];
    for (let place = 8; place < bytes.length; ) {
      const size = view.getUint32(place), name = String.fromCharCode(...bytes.subarray(place + 4, place + 8));
      chunks[name] = bytes.subarray(place + 8, place + 8 + size);
      if (name === "IDAT") packed.push(chunks[name]);
      place += 12 + size;
    }
    const inflated = new Blob(packed).stream().pipeThrough(new DecompressionStream("deflate"));
    const raw = new Uint8Array(await new Response(inflated).arrayBuffer());
    const head = new DataView(chunks.IHDR.buffer, chunks.IHDR.byteOffset);
    const width = head.getUint32(0), height = head.getUint32(4);
    const values = new Uint8Array(width * height);
    for (let r = 0; r < height; r++) values.set(raw.subarray(r * (width + 1) + 1, (r + 1) * (width + 1)), r * width);
    return { width, height, palette: chunks.PLTE, values };
  }

  // Return the activations of a layer: [{name, title, low, high, units, means, raster, place: unit -> row of the raster}].
  async function activations(number) {
    if (!rasters.has(number)) {
      const all = data.parts[number].activations.map(async (one) => {
        const image = document.querySelector(`img[data-part="${number}"][data-name="${CSS.escape(one.name)}"]`);
        const place = new Map(one.units.map((unit, k) => [unit, k]));
        return { ...one, place, raster: await decoded(image.getAttribute("src")) };
      });
      rasters.set(number, await Promise.all(all));
    }
    return rasters.get(number);
  }

  const value = (one, unit, step) => {
    const byte = one.raster.values[one.place.get(unit) * one.raster.width + step];
    return one.low + (byte / 255) * (one.high - one.low);
  };
  const number = (x, digits = 3) =>
    x === null || Number.isNaN(Number(x)) ? "" : Number(x) === Infinity ? "∞" : String(Number(Number(x).toPrecision(digits)));
  const counted = (count, noun) => `${count} ${noun}${String(count) === "1" ? "" : "s"}`;
  const two = (x) => (Math.abs(x) < 0.005 ? 0 : x).toFixed(2);

  // Order the units by time scale, as in the images, or by correlation with a feature.
  function correlation(one, unit, feature) {
    const pairs = feature.flatMap((f, t) => (f === null ? [] : [[Number(f), value(one, unit, t)]]));
    const mean = (k) => pairs.reduce((sum, pair) => sum + pair[k], 0) / (pairs.length || 1);
    const [mx, my] = [mean(0), mean(1)];
    let xx = 0, yy = 0, xy = 0;
    for (const [x, y] of pairs) { xx += (x - mx) ** 2; yy += (y - my) ** 2; xy += (x - mx) * (y - my); }
    return xx && yy ? xy / Math.sqrt(xx * yy) : 0;
  }
  function sorted() {
    const all = shown[0].units;
    if (!state.sort) return [...all];
    const memory = shown.find((one) => one.name === "cell") ?? shown.find((one) => one.name === "hidden") ?? shown.at(-1);
    const known = new Map(memory.units.map((u) => [u, correlation(memory, u, data.features[state.sort])]));
    return [...all].sort((a, b) => (known.get(b) ?? 0) - (known.get(a) ?? 0));
  }
  const rows = (one) => (one.units.every((unit) => row.has(unit)) && one.units.length === order.length ? order : one.units);

  // Paint a canvas with one pixel for each number; CSS sets its size on the page.
  function paint(canvas, raster, lines) {
    canvas.width = raster.width; canvas.height = lines.length;
    const context = canvas.getContext("2d"), image = context.createImageData(raster.width, lines.length);
    lines.forEach((line, r) => {
      for (let t = 0; t < raster.width; t++) {
        const color = raster.values[line * raster.width + t] * 3, to = (r * raster.width + t) * 4;
        for (let k = 0; k < 3; k++) image.data[to + k] = raster.palette[color + k];
        image.data[to + 3] = 255;
      }
    });
    context.putImageData(image, 0, 0);
  }
  function scale(one) {
    const gate = one.low === 0 && one.high === 1, box = made("span", "", { className: "scale" });
    box.append(gate ? "0" : "−", made("span", "", { className: `bar ${gate ? "magnitude" : "signed"}` }), gate ? "1" : "+");
    return box;
  }
  // Draw the input as lines, each on its own scale, if it has few rows.
  const few = () => read && read.height === data.read.length;
  function lines(canvas, zoom) {
    const pens = ["--blue", "--orange", "--ink", "--grey"].map((name) => getComputedStyle(document.body).getPropertyValue(name));
    canvas.width = Math.min(steps * zoom, 32000); canvas.height = 96;
    const context = canvas.getContext("2d"), wide = canvas.width / steps;
    for (let r = 0; r < read.height; r++) { // the last row of the image is the first series
      context.beginPath();
      context.strokeStyle = pens[r % pens.length];
      context.setLineDash([[], [6, 3], [2, 2], [8, 3, 2, 3]][r % 4]);
      for (let t = 0; t < steps; t++)
        context.lineTo((t + 0.5) * wide, 92 - (read.values[(read.height - 1 - r) * steps + t] / 255) * 88);
      context.stroke();
    }
  }
  function draw() {
    order = sorted(); row = new Map(order.map((unit, k) => [unit, k]));
    at("maps").replaceChildren(...(read ? [map(`input${few() ? `: ${data.read.map((one) => one.name).join(", ")}` : ""}`, null, read, [...Array(read.height).keys()])] : []),
      ...shown.filter((one) => !state.hidden.has(one.name)).map((one) =>
        map(one.title, one, one.raster, rows(one).map((unit) => one.place.get(unit)))));
    at("unit").replaceChildren(...order.map((unit) => made("option", `unit ${unit}`, { value: unit })));
    if (!row.has(state.unit)) state.unit = order.at(-1);
    at("unit").value = state.unit;
    sized();
  }
  function map(title, one, raster, lines) {
    const figure = made("figure"), caption = made("figcaption", title), canvas = made("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", one
      ? `Heatmap of the ${title} of ${counted(lines.length, "unit")} over ${counted(steps, "step")}. The table next to it has the numbers.`
      : "Input at each step");
    paint(canvas, raster, lines);
    if (one) caption.append(scale(one));
    figure.append(caption, canvas);
    figure.one = one; figure.lines = lines.length;
    if (one) figure.append(made("div", "", { className: "row" }));
    return figure;
  }
  function sized() {
    const zoom = Number(at("zoom").value), tall = Number(at("tall").value);
    at("wide").style.width = `${steps * zoom}px`;
    for (const figure of at("maps").children) {
      const canvas = figure.querySelector("canvas");
      if (!figure.one && few()) lines(canvas, zoom);
      canvas.style.width = `${steps * zoom}px`;
      figure.tall = figure.one ? tall : 96 / figure.lines;
      canvas.style.height = `${figure.lines * figure.tall}px`;
    }
    labelled(zoom);
    tell(false);
  }
  // Show as many labels as fit, from the left.
  function labelled(zoom) {
    let free = 0;
    const spans = data.labels.flatMap((label, t) => {
      const width = [...label].length * 7.8 + ([...label].length > 1 ? 10 : 0), left = t * zoom;
      if (left < free - 0.5) return [];
      free = left + width;
      const span = made("span", label);
      span.style.left = `${left + (label.length === 1 ? Math.max(0, (zoom - 7.8) / 2) : 0)}px`;
      span.dataset.step = t;
      return [span];
    });
    at("labels").replaceChildren(...spans);
  }

  // Show the chosen step in text and numbers.
  let waiting = 0;
  function tell(aloud = true) {
    const { step, unit } = state.hover ?? state, zoom = Number(at("zoom").value);
    const title = `Step ${(step + 1).toLocaleString("en")} of ${steps.toLocaleString("en")}: ${data.labels[step]}`;
    at("cursor").style.cssText = `left:${step * zoom - 1}px;width:${zoom + 2}px`;
    for (const figure of at("maps").children) if (figure.one) {
      const line = rows(figure.one).indexOf(unit), canvas = figure.querySelector("canvas");
      figure.querySelector(".row").style.cssText =
        line < 0 ? "display:none" : `top:${canvas.offsetTop + line * figure.tall - 1}px;height:${figure.tall + 2}px`;
    }
    const part = data.parts[state.part], gated = Object.keys(part.saturated).length > 0;
    for (const one of document.querySelectorAll(".gated")) one.hidden = !gated;
    at("at-title").textContent = title;
    at("at-unit").textContent = `unit ${unit}`;
    at("at-rows").replaceChildren(...shown.map((one) => {
      const line = made("tr");
      line.append(made("th", one.name, { scope: "row" }), made("td", two(one.means[step])),
        made("td", one.place.has(unit) ? two(value(one, unit, step)) : ""));
      if (gated) line.append(...(part.saturated[one.name] ?? [[], []]).map((share) =>
        made("td", unit in share ? `${Math.round(share[unit] * 100)}%` : "")));
      return line;
    }));
    at("at-words").textContent = described(unit);
    const known = new Map([...data.read.map((one) => [one.name, one.values]), ...Object.entries(data.features)]);
    at("at-features").replaceChildren(...[...known].map(([name, values]) =>
      made("li", `${name}: ${number(values[step], 4) || "undefined at this step"}`)));
    if (at("at-all").open) everything(step);
    for (const here of document.querySelectorAll(".here")) here.classList.remove("here");
    at("labels").querySelector(`[data-step="${step}"]`)?.classList.add("here");
    for (const box of document.querySelectorAll(".letters")) box.letters[step - box.dataset.first]?.classList.add("here");
    clearTimeout(waiting);
    if (aloud) waiting = setTimeout(() => {
      at("said").textContent = `${title}. ` + shown.map((one) => `${one.title}: mean ${two(one.means[step])}` +
        (one.place.has(unit) ? `, unit ${unit} ${two(value(one, unit, step))}` : "")).join("; ");
    }, 150);
  }
  function described(unit) {
    const part = data.parts[state.part];
    const tracked = data.tracked.filter((one) => one.part === state.part && one.unit === unit).map((one) => ` ${one.caption}.`);
    const half = part.halfLives ? `Unit ${unit} has a half-life of ${counted(number(part.halfLives[unit]), "step")}.` : "";
    return half + tracked.join("");
  }
  function everything(step) {
    const head = made("thead"), top = made("tr"), body = made("tbody");
    top.append(...["unit", ...shown.map((one) => one.title)].map((name) => made("th", name, { scope: "col" })));
    head.append(top);
    body.append(...order.map((unit) => {
      const line = made("tr", "", { className: unit === (state.hover ?? state).unit ? "chosen" : "" });
      line.append(made("th", String(unit), { scope: "row" }),
        ...shown.map((one) => made("td", one.place.has(unit) ? two(value(one, unit, step)) : "")));
      return line;
    }));
    at("at-table").replaceChildren(head, body);
  }

  // Choose a step and a unit.
  function choose(step, unit = state.unit, follow = true) {
    state.hover = null;
    state.step = Math.max(0, Math.min(steps - 1, step));
    state.unit = unit;
    at("step").value = state.step + 1;
    at("step").setAttribute("aria-valuetext", `${state.step + 1}: ${data.labels[state.step]}`);
    at("unit").value = unit;
    if (follow) {
      const zoom = Number(at("zoom").value), left = state.step * zoom, view = at("view");
      if (left < view.scrollLeft || left + zoom > view.scrollLeft + view.clientWidth) view.scrollLeft = left - view.clientWidth / 2;
    }
    tell();
    for (const box of document.querySelectorAll(".letters")) {
      const here = box.querySelector(".here");
      if (here) box.scrollTop = here.offsetTop - box.clientHeight / 2;
    }
  }
  function pointed(event) {
    const step = Math.floor((event.clientX - at("wide").getBoundingClientRect().left) / Number(at("zoom").value));
    const figure = event.target.closest("figure");
    let unit = state.unit;
    if (figure?.one && event.target.tagName === "CANVAS") {
      const line = Math.floor((event.clientY - event.target.getBoundingClientRect().top) / figure.tall);
      unit = rows(figure.one)[Math.max(0, Math.min(figure.lines - 1, line))];
    }
    return { step: Math.max(0, Math.min(steps - 1, step)), unit };
  }
  const moves = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };
  function key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const up = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (event.key in moves) choose(state.step + moves[event.key]);
    else if (up) choose(state.step, order[Math.max(0, Math.min(order.length - 1, row.get(state.unit) + up))]);
    else return;
    event.preventDefault();
  }
  async function part(number) {
    state.part = number;
    shown = await activations(number);
    at("part").value = number;
    at("shown").replaceChildren(at("shown").firstElementChild, ...shown.map((one) => {
      const label = made("label"), box = made("input", "", { type: "checkbox", checked: !state.hidden.has(one.name) });
      box.addEventListener("change", () => { state.hidden[box.checked ? "delete" : "add"](one.name); draw(); });
      label.append(box, one.title);
      return label;
    }));
    const units = shown[0].units.length;
    at("tall").value = Math.max(1, Math.min(12, Math.round(128 / units)));
    draw();
  }
  function scheme() {
    const system = matchMedia("(prefers-color-scheme: dark)");
    const dark = () => (document.documentElement.dataset.scheme ?? (system.matches ? "dark" : "light")) === "dark";
    const named = () => { at("scheme").textContent = dark() ? "Light colors" : "Dark colors"; if (order.length) sized(); };
    at("scheme").addEventListener("click", () => { document.documentElement.dataset.scheme = dark() ? "light" : "dark"; named(); });
    system.addEventListener("change", named);
    at("scheme").hidden = false;
    named();
  }

  scheme();
  for (const box of document.querySelectorAll(".letters")) box.letters = box.querySelectorAll("i");
  if (!("DecompressionStream" in window)) return; // an old browser keeps the static images
  document.documentElement.classList.add("scripted");
  read = at("rows") ? await decoded(at("rows").getAttribute("src")) : null;
  at("part").append(...data.parts.map((one, k) => made("option", `${one.name} (${one.cell.toUpperCase()})`, { value: k })));
  at("sort").append(made("option", "time scale, fastest first", { value: "" }),
    ...Object.keys(data.features).map((name) => made("option", `correlation with ${name}, highest first`, { value: name })));
  at("step").max = steps;
  at("explorer").hidden = false;
  const short = data.labels.every((label) => [...label].length === 1);
  at("zoom").value = short ? 10 : Math.max(1, Math.min(32, Math.floor(at("view").clientWidth / steps)));
  await part(0);
  choose(state.step, data.tracked.find((one) => one.part === 0 && row.has(one.unit))?.unit ?? state.unit, false);
  for (const box of document.querySelectorAll("#attribution .letters")) box.scrollTop = box.scrollHeight; // the prediction is at the end

  at("part").addEventListener("change", async (event) => { await part(Number(event.target.value)); choose(state.step); });
  at("sort").addEventListener("change", (event) => { state.sort = event.target.value; draw(); });
  at("unit").addEventListener("change", (event) => choose(state.step, Number(event.target.value)));
  at("step").addEventListener("input", (event) => choose(Number(event.target.value) - 1));
  for (const id of ["zoom", "tall"]) at(id).addEventListener("input", sized);
  at("at-all").addEventListener("toggle", () => tell(false));
  at("view").addEventListener("keydown", key);
  at("wide").addEventListener("pointermove", (event) => { state.hover = pointed(event); tell(); });
  at("wide").addEventListener("pointerleave", () => { state.hover = null; tell(false); });
  at("wide").addEventListener("click", (event) => { const to = pointed(event); choose(to.step, to.unit, false); });
  document.addEventListener("click", async (event) => {
    const letter = event.target.closest?.(".letters i"), dot = event.target.closest?.('[id^="dots-"] use');
    if (letter) choose([...letter.parentElement.letters].indexOf(letter) + Number(letter.parentElement.dataset.first));
    if (dot) {
      const dots = dot.closest('[id^="dots-"]'), unit = [...dots.querySelectorAll("use")].indexOf(dot);
      await part(Number(dots.id.split("-")[1]));
      choose(state.step, unit);
    }
  });
  document.addEventListener("pointerover", (event) => {
    const dot = event.target.closest?.('[id^="dots-"] use');
    if (!dot || dot.querySelector("title")) return;
    const dots = dot.closest('[id^="dots-"]'), unit = [...dots.querySelectorAll("use")].indexOf(dot);
    const title = document.createElementNS(dot.namespaceURI, "title");
    title.textContent = `unit ${unit}`;
    dot.append(title);
  });
})();
