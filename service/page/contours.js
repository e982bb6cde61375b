// Outlines of masks as smooth paths.

/** Closed loops along the cell borders around where `inside(label)`, in a box of cells; every step has length 1. */
function trace(grid, inside, [left, top, right, bottom]) {
  const { width, height, labels } = grid;
  const is = (x, y) => x >= 0 && y >= 0 && x < width && y < height && inside(labels[y * width + x]);
  const stride = width + 1;
  const next = new Map(); // corner -> the corners that border steps lead to, the mask on their right
  const step = (x0, y0, x1, y1) => {
    const from = y0 * stride + x0;
    const to = y1 * stride + x1;
    if (next.has(from)) next.get(from).push(to);
    else next.set(from, [to]);
  };
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      if (!is(x, y)) continue;
      if (!is(x, y - 1)) step(x, y, x + 1, y);
      if (!is(x + 1, y)) step(x + 1, y, x + 1, y + 1);
      if (!is(x, y + 1)) step(x + 1, y + 1, x, y + 1);
      if (!is(x - 1, y)) step(x, y + 1, x, y);
    }
  }
  const loops = [];
  for (const [start, ends] of next) {
    while (ends.length) {
      const loop = [];
      let corner = start;
      do {
        loop.push([corner % stride, Math.floor(corner / stride)]);
        corner = next.get(corner).pop();
      } while (corner !== start);
      loops.push(loop);
    }
  }
  return loops;
}

/** The running mean over 2 radius + 1 points of a loop. */
function mean(loop, radius) {
  const n = loop.length;
  let x = 0;
  let y = 0;
  for (let i = -radius; i <= radius; i++) {
    x += loop[(i + n) % n][0];
    y += loop[(i + n) % n][1];
  }
  return loop.map((_, i) => {
    const point = [x / (2 * radius + 1), y / (2 * radius + 1)];
    const [oldest, newest] = [loop[(i - radius + n) % n], loop[(i + radius + 1) % n]];
    x += newest[0] - oldest[0];
    y += newest[1] - oldest[1];
    return point;
  });
}

const RADIUS = 2; // cells: the grid's steps are smoothed away, and nothing larger

/** A path in image pixels around where `inside(label)`. */
export function outline(grid, inside, box) {
  const path = new Path2D();
  for (const loop of trace(grid, inside, box)) {
    const r = Math.min(RADIUS, Math.floor(loop.length / 8));
    const smooth = r ? mean(mean(loop, r), r) : loop;
    smooth.forEach(([x, y], i) => {
      // Where the image ends the mask is cut, not round.
      const [cornerX, cornerY] = loop[i];
      const px = cornerX === 0 || cornerX === grid.width ? cornerX : x;
      const py = cornerY === 0 || cornerY === grid.height ? cornerY : y;
      path[i ? 'lineTo' : 'moveTo'](px / grid.scale, py / grid.scale);
    });
    path.closePath();
  }
  return path;
}
