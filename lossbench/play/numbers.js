// The numbers of the page: tables read, values between their points, and minimisers. No page is needed here.
"use strict";

/** Read numbers between spaces; 0*3 is 0 three times. */
function readNumbers(written) {
  const runs = written.split(" ").map((run) => run.split("*").map(Number));
  return Float64Array.from(runs.flatMap(([number, count = 1]) => Array(count).fill(number)));
}

/** The table of a loss at a stop of its slider, a ratio of classes (its index) and the right class. */
function curveOf(columns, loss, stop, ratio, right) {
  const byRatio = loss.tables[stop];
  const byClass = byRatio[Math.min(ratio, byRatio.length - 1)];
  const [value, slope, curvature] = byClass[right === 1 ? 0 : byClass.length - 1].map((number) => columns[number]);
  return { reach: loss.reach, value, slope, curvature };
}

/** Where x lies in a table: before which point, and how far on the way to the next. */
function place(curve, x) {
  const cells = curve.value.length - 1;
  const at = Math.max(0, Math.min(cells, ((x + curve.reach) / (2 * curve.reach)) * cells));
  const near = Math.round(at);
  if (Math.abs(at - near) < 1e-7) return near < cells ? [near, 0] : [cells - 1, 1]; // a point of the table itself
  return [Math.floor(at), at - Math.floor(at)];
}

/** A column between two of its points, by a straight line. */
function onLine(curve, column, x) {
  const [i, t] = place(curve, x);
  return column[i] + t * (column[i + 1] - column[i]);
}

/** The value at x: a cubic by the slopes of both points, or a straight line where the loss has a kink. */
function valueAt(curve, x) {
  const [i, t] = place(curve, x);
  const width = (2 * curve.reach) / (curve.value.length - 1);
  const [from, to] = [curve.value[i], curve.value[i + 1]];
  const [first, last] = [width * curve.slope[i], width * curve.slope[i + 1]];
  const apart = Math.abs(to - from - (first + last) / 2);
  if (apart > 0.1 * Math.abs(last - first)) return from + t * (to - from);
  const s = 1 - t;
  return s * s * ((1 + 2 * t) * from + t * first) + t * t * ((3 - 2 * t) * to - s * last);
}

/** Where f is lowest between two bounds: the lowest of many points, then closer by golden section. */
function lowest(f, low, high, steps) {
  const at = (index) => low + ((high - low) * index) / steps;
  const heights = Array.from({ length: steps + 1 }, (_, index) => f(at(index)));
  const least = Math.min(...heights);
  const tied = heights.flatMap((height, index) => (height <= least + 1e-9 * (1 + Math.abs(least)) ? [index] : []));
  const [first, last] = [tied[0], tied[tied.length - 1]];
  if (tied.length > 2 || last - first > 1) {
    const middle = Math.floor((first + last) / 2);
    return at(tied.includes(middle) ? middle : first); // several are lowest: the middle one, or the first
  }
  if (first === 0 || last === steps) return at(first);
  return golden(f, at(first - 1), at(last + 1));
}

function golden(f, from, to) {
  const ratio = (Math.sqrt(5) - 1) / 2;
  let [a, b] = [from, to];
  let [c, d] = [b - ratio * (b - a), a + ratio * (b - a)];
  let [fc, fd] = [f(c), f(d)];
  while (b - a > 1e-5) {
    if (fc <= fd) {
      [b, d, fd] = [d, c, fc];
      c = b - ratio * (b - a);
      fc = f(c);
    } else {
      [a, c, fc] = [c, d, fd];
      d = a + ratio * (b - a);
      fd = f(d);
    }
  }
  return (a + b) / 2;
}

/** The sample: normal points or skewed ones, some of them replaced by outliers. */
function samplePoints(base, shuffle, spread, { share, at, two_sided, skew }) {
  const points = base.map((z) => (skew ? Math.expm1(skew * z) / skew : z));
  const count = Math.round(share * base.length);
  for (let number = 0; number < count; number++) {
    const side = two_sided && number % 2 ? -1 : 1;
    const z = base[Math.floor(((number + 0.5) * base.length) / count)];
    points[(number * shuffle) % base.length] = side * (at + spread * z);
  }
  return points;
}

/** The mean loss of a constant prediction over a sample. */
function meanLoss(curve, points, constant) {
  let total = 0;
  for (const y of points) total += valueAt(curve, y - constant);
  return total / points.length;
}

/** The constant with the least mean loss. */
function bestConstant(curve, points) {
  const [low, high] = [Math.min(...points), Math.max(...points)];
  return lowest((constant) => meanLoss(curve, points, constant), low, high, Math.ceil((high - low) / 0.05));
}

/** The expected loss of two logits that are z apart; `rare` and `common` are the tables by right class. */
function expectedLoss(rare, common, { eta, weight, noise }, z) {
  const seen = eta * (1 - noise) + (1 - eta) * noise;
  return weight * seen * valueAt(rare, z) + (1 - seen) * valueAt(common, -z);
}

/** How far apart the two logits are where the expected loss is least. */
function bestLogit(rare, common, state) {
  return lowest((z) => expectedLoss(rare, common, state, z), -rare.reach, rare.reach, rare.value.length - 1);
}

/** The probability of class 1 that a loss reads from two logits that are z apart, by its link. */
function probabilityOf(loss, z) {
  if (loss.scale !== undefined) return 1 / (1 + Math.exp(-loss.scale * z));
  if (typeof loss.p === "string") loss.p = readNumbers(loss.p);
  return onLine({ reach: loss.reach, value: loss.p }, loss.p, z);
}

if (typeof module !== "undefined")
  module.exports = { readNumbers, curveOf, onLine, valueAt, samplePoints, bestConstant, bestLogit, probabilityOf };
