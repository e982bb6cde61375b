// What a response shows: people with their paths, and who is where.

import { outline } from './contours.js';
import { Grid } from './masks.js';

const LONGEST = 1280; // cells of a grid's longer side: finer than any screen shows

/** The same colors as in the service's own pictures (model/colors.py). */
export function personColor(id) {
  const hue = (0.58 + Math.abs(id) * 0.618034) % 1;
  const channel = (n) => {
    const k = (n + hue * 6) % 6;
    return Math.round(255 * (1 - 0.7 * Math.max(0, Math.min(k, 4 - k, 1))));
  };
  return `rgb(${channel(5)} ${channel(3)} ${channel(1)})`;
}

export const words = (name) => name.replaceAll('_', ' ');

export function buildScene(answer, taxonomy) {
  const { width, height } = answer.image;
  const grid = new Grid(width, height, LONGEST);
  for (const person of answer.people) {
    for (const part of person.parts) grid.paint(part.segmentation, (person.id << 8) | part.category_id);
  }
  const cells = ([x, y, w, h]) => [
    Math.max(0, Math.floor(x * grid.scale) - 1),
    Math.max(0, Math.floor(y * grid.scale) - 1),
    Math.min(grid.width, Math.ceil((x + w) * grid.scale) + 1),
    Math.min(grid.height, Math.ceil((y + h) * grid.scale) + 1),
  ];
  const colors = new Map(taxonomy.parts.map((part) => [part.id, `rgb(${part.color.join(' ')})`]));
  const people = answer.people.map((person) => {
    const untracked = person.track_id === null; // in a stream, somebody not sure enough yet
    const number = untracked ? -person.id : (person.track_id ?? person.id);
    return {
      id: person.id,
      name: untracked ? 'Somebody' : `Person ${number}`,
      number, // the same in every frame of a stream
      score: person.score,
      box: person.bbox,
      color: personColor(number),
      outline: outline(grid, (label) => label >> 8 === person.id, cells(person.bbox)),
      parts: person.parts.map((part) => ({
        id: part.category_id,
        name: words(part.name),
        score: part.score,
        share: part.area / person.area,
        color: colors.get(part.category_id),
        path: outline(grid, (label) => label === ((person.id << 8) | part.category_id), cells(part.bbox)),
      })),
      joints: taxonomy.joints.map((joint, i) => ({
        name: words(joint.name),
        x: person.keypoints[3 * i] + 0.5,
        y: person.keypoints[3 * i + 1] + 0.5,
        found: person.keypoints[3 * i + 2] === 2,
      })),
    };
  });
  return {
    width,
    height,
    people,
    limbs: taxonomy.limbs.slice(0, taxonomy.joints.length - 1), // the others only bridge gaps
    /** The person and part at a pixel. */
    at(x, y) {
      const label = grid.labels[Math.floor(y * grid.scale) * grid.width + Math.floor(x * grid.scale)] ?? 0;
      const person = people.find((p) => p.id === label >> 8);
      return person ? { person, part: person.parts.find((p) => p.id === (label & 255)) } : null;
    },
  };
}
