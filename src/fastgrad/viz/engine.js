// What the page computes: values, the backward sweep as a list of steps, paths, and the words for all of them.
// It knows nothing of the document, and no operation by name: those are in operations.js, made from the table.
"use strict";

function numberOf(cell) {
  return typeof cell === "string" ? { nan: NaN, inf: Infinity, "-inf": -Infinity }[cell] : cell;
}

function shown(number) {
  if (number === null) return "0";
  if (!Number.isFinite(number)) return String(number).replace("Infinity", "inf").replace("NaN", "nan");
  return String(Number(number.toPrecision(6)) + 0.0);
}

class Engine {
  constructor(graph, operations) {
    this.nodes = graph.nodes;
    this.root = graph.root;
    this.operations = operations;
    this.given = this.nodes.map((node) => numberOf(node.data));
    this.reset();
  }

  // ---------------------------------------------------------------------------------------------------- numbers

  /** The numbers that came with the page. */
  reset() {
    this.data = [...this.given];
    this.locals = this.nodes.map((node) => node.locals.map(numberOf));
    this.changed = false;
    this.sweep();
  }

  /** Give a leaf another value, and compute everything that follows from it. */
  set(leaf, number) {
    this.data[leaf] = number;
    this.changed = true;
    this.nodes.forEach((node, i) => {
      const operation = this.operations[node.row];
      if (!operation) return;
      const operands = this.operandsOf(node);
      this.data[i] = this.forward(operation, operands);
      this.locals[i] = this.partials(operation, operands, this.data[i]).slice(0, node.operands.length);
    });
    this.sweep();
  }

  operandsOf(node) {
    return [...node.operands.map((operand) => this.data[operand]), ...node.numbers.map(numberOf)];
  }

  /** The terms of a reduction are added as reduce.h says: eight interleaved partial sums, then a tree. */
  forward(operation, operands) {
    if (operation.forward) return operation.forward(...operands);
    const terms = this.terms(operation, operands);
    const m = terms.reduce((largest, [x]) => (x > largest || x !== x ? x : largest), -Infinity);
    const p = new Array(8).fill(0.0);
    terms.forEach((term, i) => (p[i % 8] += operation.term(...term, m)));
    return operation.finish(p[0] + p[4] + (p[2] + p[6]) + (p[1] + p[5] + (p[3] + p[7])), m, terms.length);
  }

  partials(operation, operands, z) {
    if (operation.forward) return operation.partials(...operands, z);
    const terms = this.terms(operation, operands);
    const ofTerms = terms.map((term) => operation.partials(...term, z, terms.length));
    return operation.operands.flatMap((_, column) => ofTerms.map((partials) => partials[column]));
  }

  terms(operation, operands) {
    const n = operands.length / operation.operands.length;
    return Array.from({ length: n }, (_, i) => operation.operands.map((_, column) => operands[column * n + i]));
  }

  /** Why a node's value is no number, in words; "" where it is one, or where its operands are at fault. */
  complaint(i) {
    const operation = this.operations[this.nodes[i].row];
    const operands = this.operandsOf(this.nodes[i]);
    if (!operation?.domain || Number.isFinite(this.data[i]) || !operands.every(Number.isFinite)) return "";
    const call = `${this.formula(i)} = ${shown(this.data[i])}`;
    const names = this.operandNames(i);
    return operation.domain(...operands)
      ? `${call}: too large for a double`
      : `${call}: outside of its domain, ${substituted(operation.domainText, operation.operands, names, "z")}`;
  }

  // ------------------------------------------------------------------------------------------------------ sweep

  /** The backward pass: a step for the seed, and one for each edge, in the order in which backward() takes them. */
  sweep() {
    const adjoint = this.nodes.map(() => 0.0);
    adjoint[this.root] = 1.0;
    this.steps = [{ kind: "seed", child: this.root, before: 0.0, after: 1.0, amount: 1.0 }];
    for (let parent = this.nodes.length - 1; parent >= 0; parent--) {
      this.nodes[parent].operands.forEach((child, k) => {
        if (this.nodes[child].kind === "number") return;
        const [above, local] = [adjoint[parent], this.locals[parent][k]];
        const amount = above === 0.0 || local === null ? 0.0 : above * local;
        const step = { kind: "edge", parent, child, k, above, local, amount, before: adjoint[child] };
        adjoint[child] += amount;
        this.steps.push({ ...step, after: adjoint[child] });
      });
    }
    this.adjoint = adjoint;
    this.lastStep = this.nodes.map(() => 0); // the number of the step after which a node's derivative is complete
    this.stepOf = new Map(); // of each node the numbers of the steps at its edges
    this.steps.forEach((step, i) => {
      this.lastStep[step.child] = i + 1;
      if (!this.stepOf.has(step.parent)) this.stepOf.set(step.parent, []);
      this.stepOf.get(step.parent)[step.k] = i + 1;
    });
  }

  /** The derivative as it stands when `count` steps are done, or null. */
  derivativeAfter(node, count) {
    for (let i = Math.min(count, this.lastStep[node]) - 1; i >= 0; i--) {
      if (this.steps[i].child === node) return this.steps[i].after;
    }
    return null;
  }

  // ------------------------------------------------------------------------------------------------------ paths

  /** How many paths lead from a node to the root, and the first `most` of them, the largest products first. */
  paths(node, most = 6, search = 2000) {
    const count = this.nodes.map(() => 0);
    count[this.root] = 1;
    for (let parent = this.nodes.length - 1; parent >= 0; parent--) {
      for (const child of this.nodes[parent].operands) count[child] += count[parent];
    }
    const found = [];
    const walk = (from, edges, product) => {
      if (from === this.root) found.push({ edges: [...edges].reverse(), product });
      for (const [parent, k] of this.users()[from]) {
        if (found.length >= search) return;
        if (count[parent] === 0) continue;
        const local = this.locals[parent][k] ?? 0.0;
        walk(parent, [...edges, { parent, k, child: from, local }], product * local);
      }
    };
    walk(node, [], 1.0);
    found.sort((a, b) => Math.abs(b.product) - Math.abs(a.product));
    return { count: count[node], shown: found.slice(0, most) };
  }

  users() {
    if (!this.usersOf) {
      this.usersOf = this.nodes.map(() => []);
      this.nodes.forEach((node, i) => node.operands.forEach((child, k) => this.usersOf[child].push([i, k])));
    }
    return this.usersOf;
  }

  // ------------------------------------------------------------------------------------------------------ words

  name(i) {
    return this.nodes[i].kind === "number" ? shown(this.data[i]) : this.nodes[i].name;
  }

  /** A name as a part of something longer: one that is more than a word in parentheses. */
  part(i) {
    const name = this.name(i);
    return this.nodes[i].kind === "number" || /^[\p{L}\p{N}_#.[\]]+$/u.test(name) ? name : `(${name})`;
  }

  d(above, below) {
    return `d${this.part(above)}/d${this.part(below)}`;
  }

  operandNames(i) {
    const node = this.nodes[i];
    return [...node.operands.map((operand) => this.part(operand)), ...node.numbers.map((x) => shown(numberOf(x)))];
  }

  /** How a node is computed: a * b, tanh(n), sum(a, b, c). */
  formula(i, names = this.operandNames(i)) {
    const { op } = this.nodes[i];
    const operation = this.operations[this.nodes[i].row];
    if (!operation?.forward) return `${op || "given"}(${names.join(", ")})`;
    const apart = names.map((name) => (name.startsWith("-") ? `(${name})` : name));
    if (names.length === 2 && !/\w/.test(operation.label)) return apart.join(` ${operation.label} `);
    if (/^[^()]+$/.test(operation.text)) return substituted(operation.text, operation.operands, apart, "z");
    return `${operation.label}(${names.join(", ")})`;
  }

  /** A local derivative in the names of this node's operands; "" where that says no more than its number. */
  localRule(i, k) {
    const rule = this.changed ? this.ruleOfTable(i, k) : this.nodes[i].rules[k];
    return rule === shown(this.locals[i][k]) ? "" : rule;
  }

  /** As the table has it, since what came with the page is simplified for the numbers that came with it. */
  ruleOfTable(i, k) {
    const operation = this.operations[this.nodes[i].row];
    const names = this.operandNames(i);
    const width = operation.forward ? names.length : names.length / operation.operands.length;
    const [column, term] = operation.forward ? [k, 0] : [Math.floor(k / width), k % width];
    const of = operation.operands.map((_, j) => (operation.forward ? names[j] : names[j * width + term]));
    const text = operation.texts[column].replace(/\bn\b/g, String(width));
    return /sel\(/.test(text) ? "" : substituted(text, operation.operands, of, this.part(i));
  }

  /** dL/da += dL/de * de/da = -2 * -3 = 6 */
  arithmetic(step) {
    const total = this.d(this.root, step.child);
    if (step.kind === "seed") return `${total} = 1`;
    const { parent, child } = step;
    const factors = `${shown(step.above)} * ${shown(step.local)} = ${shown(step.amount)}`;
    const sum = step.before === 0.0 ? "" : `, so ${total} = ${shown(step.before)} + ${shown(step.amount)} = ${shown(step.after)}`;
    return `${total} += ${this.d(this.root, parent)} * ${this.d(parent, child)} = ${factors}${sum}`;
  }

  /** Why: e = a * b, so de/da = b = -3. */
  reason(step) {
    if (step.kind === "seed") return "Begin at the end: a number changes by as much as itself.";
    const { parent, child, k } = step;
    const local = this.d(parent, child);
    if (step.local === null) return `${this.name(parent)} passes nothing on to ${this.name(child)}.`;
    const rule = this.localRule(parent, k);
    const nothing = step.above === 0.0 ? " Nothing flows on from a derivative that is 0." : "";
    const equals = rule ? `${rule} = ${shown(step.local)}` : shown(step.local);
    return `${this.name(parent)} = ${this.formula(parent)}, so ${local} = ${equals}.${nothing}`;
  }

  /** dL/dd * dd/de * de/da = -2 * 1 * -3 = 6 */
  pathText(path) {
    if (path.edges.length === 0) return "1";
    const names = path.edges.map((edge) => this.d(edge.parent, edge.child)).join(" * ");
    const numbers = path.edges.map((edge) => shown(edge.local)).join(" * ");
    return path.edges.length === 1 ? `${names} = ${numbers}` : `${names} = ${numbers} = ${shown(path.product)}`;
  }
}

/** The text of a rule with names in the places of its operands and result, and whole numbers written as such. */
function substituted(text, operands, names, z) {
  const places = new Map([...operands.map((operand, i) => [operand, names[i]]), ["z", z]]);
  const plain = text.replace(/\b(\d+)\.0\b/g, "$1");
  return plain.replace(/\b[a-z]\b/g, (word) => places.get(word) ?? word);
}
