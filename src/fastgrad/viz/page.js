// The page: draws what the engine computes, and lets one step, look, drag and change.
"use strict";

const graph = JSON.parse(document.getElementById("data").textContent);
const engine = new Engine(graph, tableOfOperations(functionsOfRules));
const element = Object.fromEntries([...document.querySelectorAll("[id]")].map((found) => [found.id, found]));
const places = graph.nodes.map((node) => [...node.place]);
const state = { done: 0, looked: null, playing: null, zoom: 1, x: 0, y: 0 };
const pause = 1600; // milliseconds a step, when it plays
const [least, legible] = [0.02, 0.4]; // zoom

function make(parent, tag, attributes = {}, text = "") {
  const inSvg = parent.namespaceURI === element.graph.namespaceURI;
  const made = inSvg ? document.createElementNS(parent.namespaceURI, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== "") made.textContent = text;
  parent.append(made);
  return made;
}

function clipped(text, most = 22) {
  return text.length > most ? text.slice(0, most - 1) + "…" : text;
}

// -------------------------------------------------------------------------------------------------------- drawing

const cards = graph.nodes.map((node, i) => drawNode(node, i));
const arrows = drawEdges();
const arrowsInto = graph.nodes.map((_, i) => arrows.filter((edge) => edge.parent === i));

function drawNode(node, i) {
  const [width, height] = node.size;
  const group = make(element.nodes, "g", { class: `node ${node.kind}`, id: `node-${i}`, tabindex: 0, role: "button" });
  make(group, "rect", { class: "card", x: -width / 2, y: -height / 2, width, height, rx: Math.min(13, height / 2) });
  if (node.kind === "number") return { group, data: make(group, "text", { class: "data", y: 5 }) };
  make(group, "text", { class: "name", x: -width / 2 + 13, y: -height / 2 + 20 }, clipped(node.name));
  if (node.op || node.kind === "leaf") {
    const symbol = make(group, "text", { class: "op", x: width / 2 - 13, y: -height / 2 + 20 }, node.op || "leaf");
    symbol.classList.toggle("quiet", !node.op);
  }
  const data = make(group, "text", { class: "data", y: 6 });
  make(group, "line", { class: "rule", x1: -width / 2 + 12, x2: width / 2 - 12, y1: 14, y2: 14 });
  return { group, data, grad: make(group, "text", { class: "grad", y: height / 2 - 8 }) };
}

function drawEdges() {
  let number = 0;
  return graph.nodes.flatMap((node, parent) =>
    node.operands.map((child, k) => {
      const group = make(element.edges, "g", { class: "edge", id: `edge-${parent}-${k}` });
      const line = make(group, "path", { class: "line", "marker-end": "url(#arrow)" });
      const flow = make(group, "path", { class: "flow", pathLength: 1 });
      const hit = make(group, "path", { class: "hit" }); // wide enough to be pointed at
      const title = make(hit, "title");
      const label = make(group, "text", { class: "local" });
      if (graph.nodes[child].kind === "number") group.classList.add("to-number");
      return { parent, child, k, group, line, flow, hit, title, label, bends: graph.bends[number++] };
    }),
  );
}

function routeEdges(moved = null) {
  for (const edge of arrows) {
    if (moved !== null && edge.parent !== moved && edge.child !== moved) continue;
    const twins = graph.nodes[edge.parent].operands.filter((child) => child === edge.child).length;
    const apart = twins > 1 ? (edge.k - (twins - 1) / 2) * 18 : 0;
    const [x1, y1] = [places[edge.child][0] + graph.nodes[edge.child].size[0] / 2, places[edge.child][1] + apart / 2];
    const [x2, y2] = [places[edge.parent][0] - graph.nodes[edge.parent].size[0] / 2 - 2, places[edge.parent][1] + spread(edge)];
    const points = [[x1, y1], ...edge.bends, [x2, y2]];
    let d = `M${x1},${y1}`;
    for (let i = 1; i < points.length; i++) {
      const [[a, b], [c, e]] = [points[i - 1], points[i]];
      const pull = Math.max(30, Math.abs(c - a) * 0.45);
      d += ` C${a + pull},${b + apart} ${c - pull},${e + apart} ${c},${e}`;
    }
    edge.line.setAttribute("d", d);
    edge.flow.setAttribute("d", d);
    edge.hit.setAttribute("d", d);
    const part = (edge.bends.length ? 0.15 : 0.38) + 0.24 * (edge.k / Math.max(1, graph.nodes[edge.parent].operands.length - 1));
    const middle = edge.line.getPointAtLength(edge.line.getTotalLength() * part);
    edge.label.setAttribute("x", middle.x);
    edge.label.setAttribute("y", middle.y - 6);
  }
}

/** Where an edge ends on its node: the ends of several lie apart, in the order of where they come from. */
function spread(edge) {
  const { operands, size } = graph.nodes[edge.parent];
  const from = (other) => (other.bends.length ? other.bends.at(-1)[1] : places[other.child][1]) + other.k * 1e-3;
  const rank = arrowsInto[edge.parent].filter((other) => from(other) < from(edge)).length;
  return (rank - (operands.length - 1) / 2) * Math.min(16, (size[1] - 24) / Math.max(1, operands.length - 1));
}

function placeNodes() {
  cards.forEach(({ group }, i) => group.setAttribute("transform", `translate(${places[i]})`));
}

// -------------------------------------------------------------------------------------------------------- showing

function show(speak = true) {
  const current = state.done > 0 ? engine.steps[state.done - 1] : null;
  cards.forEach((card, i) => showNode(card, i, current));
  arrows.forEach((edge) => showEdge(edge, current));
  element.count.textContent = `${state.done} / ${engine.steps.length}`;
  element.position.max = engine.steps.length;
  element.position.value = state.done;
  element.position.setAttribute("aria-valuetext", `step ${state.done} of ${engine.steps.length}`);
  // Not `disabled`: the focus would be lost where the last step is taken by keyboard.
  for (const name of ["first", "back"]) element[name].setAttribute("aria-disabled", String(state.done === 0));
  for (const name of ["last", "next"]) element[name].setAttribute("aria-disabled", String(state.done === engine.steps.length));
  element.arithmetic.textContent = current ? engine.arithmetic(current) : opening();
  element.reason.textContent = current ? engine.reason(current) : "Play, or press the right arrow key, to see how each derivative comes about.";
  [...element.steps.rows].forEach((row, i) => {
    row.classList.toggle("done", i < state.done);
    row.toggleAttribute("aria-current", i === state.done - 1);
    if (i === state.done - 1) row.setAttribute("aria-current", "step");
  });
  showDetails();
  showTables();
  if (speak) announce(`Step ${state.done} of ${engine.steps.length}. ${element.arithmetic.textContent} ${element.reason.textContent}`);
}

function opening() {
  const { root } = engine;
  return `${engine.name(root)} = ${graph.nodes[root].operands.length ? engine.formula(root) + " = " : ""}${shown(engine.data[root])}`;
}

function announce(text) {
  element.announcer.textContent = text;
}

function derivative(i) {
  const all = state.done === engine.steps.length;
  return engine.derivativeAfter(i, state.done) ?? (all ? engine.adjoint[i] : null);
}

function showNode(card, i, current) {
  const node = graph.nodes[i];
  card.data.textContent = shown(engine.data[i]);
  if (node.kind === "number") {
    card.group.setAttribute("aria-label", `number ${shown(engine.data[i])}`);
    return;
  }
  const grad = derivative(i);
  const total = engine.d(engine.root, i);
  const complete = grad !== null && state.done >= engine.lastStep[i];
  card.grad.textContent = `${clipped(total, 40)} = ${grad === null ? "?" : shown(grad)}`;
  card.group.dataset.grad = grad === null ? "" : shown(grad);
  card.group.classList.toggle("begun", grad !== null);
  card.group.classList.toggle("complete", complete);
  card.group.classList.toggle("receives", current?.child === i);
  card.group.classList.toggle("gives", current?.parent === i);
  const role = node.kind === "leaf" ? "leaf" : engine.formula(i);
  const known = grad === null ? "derivative not computed yet" : `${total} = ${shown(grad)}${complete ? "" : " so far"}`;
  card.group.setAttribute("aria-label", `${node.name}, ${role}, value ${shown(engine.data[i])}, ${known}`);
}

function showEdge(edge, current) {
  const local = engine.locals[edge.parent][edge.k];
  const active = current?.parent === edge.parent && current.k === edge.k;
  const isNumber = graph.nodes[edge.child].kind === "number";
  edge.label.textContent = isNumber ? "" : shown(local);
  edge.title.textContent = isNumber ? "" : localText(edge.parent, edge.k);
  edge.group.classList.toggle("active", active);
  const swept = engine.stepOf.get(edge.parent)?.[edge.k] <= state.done;
  edge.group.classList.toggle("swept", swept);
  edge.line.setAttribute("marker-end", `url(#arrow${active ? "-active" : swept ? "-swept" : ""})`);
}

/** de/da = b = -3 */
function localText(i, k) {
  const rule = engine.localRule(i, k);
  return `${engine.d(i, graph.nodes[i].operands[k])} = ${rule ? rule + " = " : ""}${shown(engine.locals[i][k])}`;
}

function showDetails() {
  const i = state.looked;
  element.details.replaceChildren();
  cards.forEach(({ group }, j) => group.classList.toggle("looked", i === j));
  arrows.forEach(({ group }) => group.classList.remove("on-path"));
  if (i === null) {
    make(element.details, "p", { class: "hint" }, "Point at a node, or Tab to it, to see its local derivatives and the paths from it.");
    return;
  }
  const node = graph.nodes[i];
  const names = node.operands.length ? `${engine.formula(i)} = ${engine.formula(i, numbersOf(i))} = ` : "";
  make(element.details, "p", { class: "equation" }, `${node.kind === "number" ? "number" : node.name} = ${names}${shown(engine.data[i])}`);
  node.operands.forEach((child, k) => {
    if (graph.nodes[child].kind === "number") return;
    make(element.details, "p", { class: "equation local" }, localText(i, k));
  });
  if (node.kind !== "number") showPaths(i);
}

function numbersOf(i) {
  return engine.operandsOf(graph.nodes[i]).map(shown);
}

function showPaths(i) {
  const paths = engine.paths(i);
  const total = engine.d(engine.root, i);
  const count = paths.count === 1 ? "1 path" : `${paths.count.toLocaleString("en")} paths`;
  make(element.details, "h3", {}, i === engine.root ? "The output itself" : `${count} to ${engine.name(engine.root)}`);
  const list = make(element.details, "ol", { class: "paths" });
  for (const path of paths.shown) {
    make(list, "li", { class: "equation" }, engine.pathText(path));
    for (const edge of path.edges) element[`edge-${edge.parent}-${edge.k}`]?.classList.add("on-path");
  }
  const more = paths.count > paths.shown.length ? ` (${(paths.count - paths.shown.length).toLocaleString("en")} more)` : "";
  const sum = paths.count > 1 ? `, the sum over all paths${more}` : "";
  make(element.details, "p", { class: "equation total" }, `${total} = ${shown(engine.adjoint[i])}${sum}`);
}

// --------------------------------------------------------------------------------------------------------- tables

function fillSteps() {
  element.steps.replaceChildren();
  engine.steps.forEach((step, i) => {
    const row = make(element.steps, "tr");
    const button = make(make(row, "td"), "button", { type: "button", "aria-label": `Go to step ${i + 1}` }, String(i + 1));
    button.addEventListener("click", () => go(i + 1));
    make(row, "td", {}, engine.arithmetic(step));
  });
}

function fillTables() {
  graph.nodes.forEach((node, i) => {
    if (node.kind === "number") return;
    const row = make(element.rows, "tr", { id: `row-${i}` });
    make(row, "th", { scope: "row" }, node.name);
    for (const _ of ["formula", "data", "grad"]) make(row, "td");
    element[`row-${i}`] = row;
    if (node.kind === "leaf") addInput(node, i);
  });
  element.fixed.textContent = graph.fixed ? `The values cannot be changed here: ${graph.fixed}.` : "";
}

function addInput(node, i) {
  const label = make(element.inputs, "label");
  make(label, "span", { class: "leaf-name" }, node.name);
  const input = make(label, "input", { type: "number", step: "any", id: `input-${i}`, "aria-label": `value of ${node.name}` });
  make(label, "span", { class: "leaf-grad", id: `leaf-grad-${i}` });
  input.value = shown(engine.data[i]);
  input.disabled = graph.fixed !== "";
  input.addEventListener("input", () => edit(i, input));
  element[`input-${i}`] = input;
}

function showTables() {
  graph.nodes.forEach((node, i) => {
    if (node.kind === "number") return;
    const grad = derivative(i);
    const [, formula, data, cell] = element[`row-${i}`].cells;
    formula.textContent = node.operands.length ? engine.formula(i) : "leaf";
    data.textContent = shown(engine.data[i]);
    cell.textContent = grad === null ? "not yet" : shown(grad);
    const beside = document.getElementById(`leaf-grad-${i}`);
    if (beside) beside.textContent = `${engine.d(engine.root, i)} = ${grad === null ? "?" : shown(grad)}`;
  });
  element.reset.hidden = !engine.changed;
}

function edit(i, input) {
  const number = input.value.trim() === "" ? NaN : Number(input.value);
  input.setAttribute("aria-invalid", String(Number.isNaN(number)));
  if (Number.isNaN(number)) {
    element.complaint.textContent = `${engine.name(i)}: expected a number.`;
    return;
  }
  engine.set(i, number);
  const complaints = graph.nodes.map((_, node) => engine.complaint(node)).filter(Boolean);
  element.complaint.textContent = complaints[0] ?? "";
  fillSteps();
  show(false);
  const { root } = engine;
  announce(`${engine.name(i)} = ${shown(number)}, ${engine.name(root)} = ${shown(engine.data[root])}, ${engine.d(root, i)} = ${shown(engine.adjoint[i])}`);
}

function reset() {
  engine.reset();
  graph.nodes.forEach((_, i) => {
    if (element[`input-${i}`]) element[`input-${i}`].value = shown(engine.data[i]);
  });
  element.complaint.textContent = "";
  fillSteps();
  show();
}

// ---------------------------------------------------------------------------------------------------------- moving

function go(count) {
  state.done = Math.max(0, Math.min(engine.steps.length, count));
  if (state.done === engine.steps.length) stop();
  show();
  if (state.done > 0) reveal(engine.steps[state.done - 1].child);
}

function stop() {
  clearInterval(state.playing);
  state.playing = null;
  showPlaying();
}

function play() {
  if (state.playing !== null) return stop();
  if (state.done === engine.steps.length) state.done = 0;
  go(state.done + 1);
  if (state.done < engine.steps.length) state.playing = setInterval(() => go(state.done + 1), pause);
  showPlaying();
}

function showPlaying() {
  element.play.classList.toggle("is-playing", state.playing !== null);
  element.play.setAttribute("aria-label", state.playing === null ? "Play" : "Pause");
}

function look(i) {
  state.looked = i;
  showDetails();
}

/** Change a leaf; of another node, go to where its derivative is complete. */
function act(i) {
  const input = element[`input-${i}`];
  if (input && !input.disabled) input.focus();
  else if (graph.nodes[i].kind !== "number") go(engine.lastStep[i]);
}

function view() {
  element.view.setAttribute("transform", `translate(${state.x},${state.y}) scale(${state.zoom})`);
}

function zoom(factor, x = element.graph.clientWidth / 2, y = element.graph.clientHeight / 2) {
  const zoomed = Math.max(least, Math.min(4, state.zoom * factor));
  state.x = x - ((x - state.x) * zoomed) / state.zoom;
  state.y = y - ((y - state.y) * zoomed) / state.zoom;
  state.zoom = zoomed;
  view();
}

/** Show the whole graph. */
function fit() {
  const { clientWidth: width, clientHeight: height } = element.graph;
  state.zoom = Math.max(least, Math.min(1.5, (width - 56) / graph.width, (height - 64) / graph.height));
  centre([graph.width / 2, graph.height / 2]);
}

function centre([x, y]) {
  state.x = element.graph.clientWidth / 2 - x * state.zoom;
  state.y = element.graph.clientHeight / 2 - y * state.zoom;
  view();
}

/** Show the whole graph if it can be read then, else the output's end of it. */
function begin() {
  fit();
  if (state.zoom >= legible) return;
  state.zoom = 2 * legible;
  centre(places[engine.root]);
}

/** Move a node into sight. */
function reveal(i) {
  const [x, y] = [places[i][0] * state.zoom + state.x, places[i][1] * state.zoom + state.y];
  const { clientWidth: width, clientHeight: height } = element.graph;
  if (x < 80 || x > width - 80 || y < 60 || y > height - 60) centre(places[i]);
}

function move(i, dx, dy) {
  places[i][0] += dx;
  places[i][1] += dy;
  placeNodes();
  routeEdges(i);
}

/** Drag a node, or the whole graph where there is none. */
function drag(event) {
  const node = event.target.closest?.(".node");
  const i = node === null ? null : cards.findIndex(({ group }) => group === node);
  let [x, y] = [event.clientX, event.clientY];
  const follow = (moved) => {
    const [dx, dy] = [moved.clientX - x, moved.clientY - y];
    [x, y] = [moved.clientX, moved.clientY];
    if (i !== null) return move(i, dx / state.zoom, dy / state.zoom);
    state.x += dx;
    state.y += dy;
    view();
  };
  const end = () => {
    window.removeEventListener("pointermove", follow);
    element.graph.classList.remove("dragging");
  };
  element.graph.classList.add("dragging");
  window.addEventListener("pointermove", follow);
  for (const over of ["pointerup", "pointercancel"]) window.addEventListener(over, end, { once: true });
}

// ------------------------------------------------------------------------------------------------------------ keys

const keys = {
  ArrowRight: () => go(state.done + 1),
  ArrowLeft: () => go(state.done - 1),
  Home: () => go(0),
  End: () => go(engine.steps.length),
  "+": () => zoom(1.25),
  "=": () => zoom(1.25),
  "-": () => zoom(0.8),
  0: () => fit(),
};
const directions = { ArrowRight: [24, 0], ArrowLeft: [-24, 0], ArrowUp: [0, -24], ArrowDown: [0, 24] };

function press(event) {
  const node = cards.findIndex(({ group }) => group === event.target);
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input")) return;
  if (node >= 0 && event.shiftKey && directions[event.key]) move(node, ...directions[event.key]);
  else if (node >= 0 && event.key === "Enter") act(node);
  else if (event.key === " " && !event.target.matches("button, summary")) play();
  else if (keys[event.key]) keys[event.key]();
  else return;
  event.preventDefault();
}

function listen() {
  element.first.addEventListener("click", () => go(0));
  element.back.addEventListener("click", () => go(state.done - 1));
  element.next.addEventListener("click", () => go(state.done + 1));
  element.last.addEventListener("click", () => go(engine.steps.length));
  element.play.addEventListener("click", play);
  element.reset.addEventListener("click", reset);
  element.position.addEventListener("input", () => go(Number(element.position.value)));
  element["zoom-in"].addEventListener("click", () => zoom(1.25));
  element["zoom-out"].addEventListener("click", () => zoom(0.8));
  element["zoom-fit"].addEventListener("click", fit);
  element.graph.addEventListener("pointerdown", drag);
  element.graph.addEventListener("wheel", (event) => {
    event.preventDefault();
    const frame = element.graph.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY * 0.0015), event.clientX - frame.left, event.clientY - frame.top);
  }, { passive: false });
  cards.forEach(({ group }, i) => {
    group.addEventListener("pointerenter", () => look(i));
    group.addEventListener("focus", () => {
      look(i);
      if (group.matches(":focus-visible")) reveal(i); // not under a mouse, which may be dragging it
    });
    group.addEventListener("dblclick", () => act(i));
    group.addEventListener("click", (event) => event.detail === 0 && act(i)); // a screen reader's, not a mouse's
  });
  document.addEventListener("keydown", press);
  window.addEventListener("resize", begin);
}

for (const edge of arrows) element[`edge-${edge.parent}-${edge.k}`] = edge.group;
element.graph.classList.toggle("crowded", arrows.length > 28);
element.summary.textContent = `${graph.nodes.length} nodes, ${engine.steps.length} steps of the chain rule`;
fillTables();
fillSteps();
placeNodes();
routeEdges();
listen();
begin();
show(false);
