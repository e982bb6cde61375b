// Draws the layers of a scene into a canvas whose context is scaled to image pixels.

const RIM = 'rgb(0 0 0 / 0.55)';
const FADED = 0.22; // of everybody else while one person is looked at

/**
 * `layers` says what is shown and how opaque; `focus` is { person, part } or null; `pixel` is the size of a screen
 * pixel in the image.
 */
export function drawLayers(context, scene, layers, focus, pixel) {
  const { parts, people, skeletons, opacity } = layers;
  const strength = (person) => (!focus || focus.person.number === person.number ? 1 : FADED);
  context.lineJoin = context.lineCap = 'round';
  for (const person of scene.people.toReversed()) { // the surest on top
    const line = Math.min(2.2 * pixel, Math.max(pixel, Math.max(...person.box.slice(2)) / 60));
    if (parts) fillParts(context, person, focus, opacity * strength(person));
    context.globalAlpha = strength(person);
    if (people) drawPerson(context, person, parts ? 0 : opacity * 0.75, line);
    else if (parts && focus && strength(person) === 1) stroke(context, person.outline, '#fff', line);
    if (focus?.part && strength(person) === 1) {
      const part = person.parts.find(({ id }) => id === focus.part.id);
      if (part) stroke(context, part.path, '#fff', line * 1.4);
    }
  }
  for (const person of scene.people.toReversed()) {
    context.globalAlpha = strength(person);
    if (skeletons) drawSkeleton(context, person, scene.limbs, pixel);
  }
  for (const person of scene.people.toReversed()) {
    context.globalAlpha = strength(person);
    if (people) drawNumber(context, person, pixel, scene);
  }
  context.globalAlpha = 1;
}

function fillParts(context, person, focus, opacity) {
  for (const part of person.parts) {
    context.globalAlpha = focus?.part && focus.part.id !== part.id ? opacity * 0.5 : opacity;
    context.fillStyle = part.color;
    context.fill(part.path, 'evenodd');
  }
}

function drawPerson(context, person, fill, line) {
  if (fill) {
    const alpha = context.globalAlpha;
    context.globalAlpha = alpha * fill;
    context.fillStyle = person.color;
    context.fill(person.outline, 'evenodd');
    context.globalAlpha = alpha;
  }
  stroke(context, person.outline, person.color, line);
}

function stroke(context, path, color, width) {
  context.strokeStyle = RIM;
  context.lineWidth = width * 1.9;
  context.stroke(path);
  context.strokeStyle = color;
  context.lineWidth = width;
  context.stroke(path);
}

function drawSkeleton(context, { joints, box, color }, limbs, pixel) {
  const line = Math.min(3 * pixel, Math.max(1.2 * pixel, Math.max(box[2], box[3]) / 70));
  const path = new Path2D();
  for (const [a, b] of limbs) {
    if (!joints[a].found || !joints[b].found) continue;
    path.moveTo(joints[a].x, joints[a].y);
    path.lineTo(joints[b].x, joints[b].y);
  }
  stroke(context, path, color, line);
  for (const { x, y, found } of joints) {
    if (!found) continue;
    context.beginPath();
    context.arc(x, y, line * 1.15, 0, 2 * Math.PI);
    context.fillStyle = '#fff';
    context.strokeStyle = RIM;
    context.lineWidth = line * 0.6;
    context.stroke();
    context.fill();
  }
}

function drawNumber(context, { number, box: [x, y, width], color }, pixel, scene) {
  const size = 12 * pixel;
  context.font = `600 ${size}px system-ui, sans-serif`;
  const text = number > 0 ? String(number) : '?';
  const w = context.measureText(text).width + size;
  const left = Math.max(0, Math.min(scene.width - w, x + width / 2 - w / 2));
  const top = Math.max(3 * pixel, y - size * 1.7);
  context.beginPath();
  context.roundRect(left, top, w, size * 1.5, size * 0.75);
  context.fillStyle = color;
  context.fill();
  context.strokeStyle = RIM;
  context.lineWidth = pixel;
  context.stroke();
  context.fillStyle = '#000';
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.fillText(text, left + w / 2, top + size * 0.8);
}
