// What stands beside the photo: time, people, JSON.

import { percent } from './stage.js';

const PROMISE = 150; // ms: the time in which the service is to answer
const STAGES = ['decode', 'queue', 'infer', 'encode'];
const $ = (selector) => document.querySelector(selector);

/** An element with properties and children. */
export function element(name, properties = {}, ...children) {
  const { style = {}, ...others } = properties;
  const node = Object.assign(document.createElement(name), others);
  for (const [property, value] of Object.entries(style)) node.style.setProperty(property, value);
  node.append(...children.filter((child) => child !== null));
  return node;
}

const ms = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;

/** The stages at the server against the promise, and the round trip that this page saw. */
export function showTime(timings, roundTrip) {
  const within = timings.total <= PROMISE;
  $('#total').textContent = ms(timings.total);
  $('#verdict').textContent = within ? '✓ within 0.15 s' : '✗ over 0.15 s';
  $('#verdict').classList.toggle('late', !within);
  const span = 1.12 * Math.max(PROMISE * 1.1, timings.total, roundTrip);
  const share = (value) => `${(100 * value) / span}%`;
  const stages = STAGES.filter((stage) => timings[stage] !== undefined);
  $('#bar').replaceChildren(
    element('div', { className: 'track' }, ...stages.map((stage) =>
      element('i', { className: stage, style: { width: share(timings[stage]) } }))),
    element('div', { className: 'track trip' }, element('i', { className: 'round', style: { width: share(roundTrip) } })),
    element('span', { className: 'promise', style: { left: share(PROMISE) } }, '0.15 s'),
  );
  const rows = [...stages.map((stage) => [stage, timings[stage]]), ['round', roundTrip]];
  $('#stages').replaceChildren(...rows.map(([name, value]) =>
    element('div', {}, element('dt', { className: name }, name === 'round' ? 'round trip' : name), element('dd', {}, ms(value)))));
}

/** The list of people; the chosen one's parts. The same buttons stay while the same people do, so focus stays, too. */
export function showPeople(scene, stage) {
  const list = $('#people');
  const { people } = scene;
  const same = people.length === list.children.length && people.every((p, i) => list.children[i].dataset.number === `${p.number}`);
  if (!same) list.replaceChildren(...people.map((person) => personItem(person, stage)));
  people.forEach((person, i) => updatePerson(list.children[i], person, stage));
  if (!people.length) list.replaceChildren(element('li', { className: 'soft' }, 'Nobody was found.'));
}

/** What the cut-out shows: the chosen person, or everybody. */
export function showCutout({ people }, chosen) {
  $('#cutout').disabled = !people.length;
  $('#cutout span').textContent = `Cut-out of ${chosen?.name ?? 'everybody'}`;
}

function personItem({ number, name, color }, stage) {
  const button = element('button', { type: 'button', className: 'person', onclick: () => stage.choose(number) },
    element('i', { className: 'swatch', style: { background: color } }),
    element('b', {}, name),
    element('span', { className: 'score' }),
    element('meter', { min: 0, max: 1 }),
    element('small', {}));
  const item = element('li', {}, button, element('ul', { className: 'parts' }));
  item.dataset.number = number;
  return item;
}

function updatePerson(item, person, stage) {
  const [button, parts] = item.children;
  const chosen = stage.chosen === person.number;
  button.setAttribute('aria-pressed', chosen);
  button.onpointerenter = button.onfocus = () => stage.hover({ person });
  button.onpointerleave = button.onblur = () => stage.hover(null);
  button.querySelector('.score').textContent = percent(person.score);
  const meter = button.querySelector('meter');
  meter.value = person.score;
  meter.setAttribute('aria-label', `score of ${person.name}`);
  const joints = person.joints.filter(({ found }) => found).length;
  button.querySelector('small').textContent = `${person.parts.length} parts, ${joints} joints`;
  parts.hidden = !chosen;
  parts.replaceChildren(...(chosen ? person.parts : []).map((part) => {
    const chip = element('li', { className: 'part' },
      element('i', { className: 'swatch', style: { background: part.color } }), part.name,
      element('span', { className: 'soft' }, percent(part.score)));
    chip.onpointerenter = () => stage.hover({ person, part });
    chip.onpointerleave = () => stage.hover(null);
    return chip;
  }));
}

/** Mark in the list whom the pointer is on in the photo. */
export function markHovered(found) {
  for (const item of $('#people').children) item.classList.toggle('hovered', item.dataset.number === `${found?.person.number}`);
}

/** The response with its masks cut short, numbers of an array in one line, and colors. */
export function showJson(answer) {
  const short = (name, value) =>
    name === 'counts' && value.length > 40 ? `${value.slice(0, 28)}… ${value.length} characters` : value;
  const text = JSON.stringify(answer, short, 2).replace(/\[\s+([-\d.,\s]+?)\s+\]/g, (_, numbers) => `[${numbers.replace(/\s+/g, ' ')}]`);
  const tokens = text.split(/("(?:[^"\\]|\\.)*"(?:\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)/);
  $('#json-text').replaceChildren(...tokens.map((token, i) => (i % 2 ? element('span', { className: kind(token) }, token) : token)));
}

const kind = (token) => (token.endsWith(':') ? 'name' : token.startsWith('"') ? 'text' : 'number');
