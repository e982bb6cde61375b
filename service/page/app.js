// Joins the inputs, the service and the screen.

import { getModel, layerPng, parse, Problem, useKey } from './api.js';
import { element, markHovered, showCutout, showJson, showPeople, showTime } from './panels.js';
import { buildScene } from './scene.js';
import { percent, Stage } from './stage.js';
import { Webcam } from './webcam.js';

const PATIENCE = 8; // times that a photo is sent again while the service is busy
const $ = (selector) => document.querySelector(selector);
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1e3));

const stage = new Stage();
const webcam = new Webcam();
const photos = []; // { name, file, url, image, size, state, answer, scene, roundTrip, problem, item }
let current = null;
let model = null;
let sending = false;
let speed = []; // times of the last answers of the webcam

// The service

async function ready() {
  for (;;) {
    try {
      model = await getModel();
      break;
    } catch (problem) {
      if (problem.status === 401) await login(problem);
      else {
        $('#model').textContent = problem.status === 503 ? 'the service is starting' : problem.title;
        await pause(1.5);
      }
    }
  }
  $('#model').textContent = `${model.name} ${model.version} · ${model.backend} ${model.precision} · ${model.detail}`;
  const { parts, joints } = model.taxonomy;
  $('#welcome-text').textContent = `Drop a photo. Get each person’s ${parts.length} body parts and ${joints.length} joints, and which pixel belongs to whom.`;
  $('#detail').append(...model.details.map((name) => element('option', { value: name }, name)));
  $('#detail').options[0].textContent = `automatic (${model.detail})`;
}
const started = ready();

function login(problem) {
  const dialog = $('#login');
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve, reject) => {
    dialog.onclose = () => {
      if (dialog.returnValue !== 'use') return reject(problem);
      useKey($('#api-key').value.trim());
      resolve();
    };
  });
}

const options = () => ({ detail: $('#detail').value });
const least = () => Number($('#least').value);

/** The answer without people below the chosen score, as the service gives it with `min_score`. */
const shown = (answer) => ({ ...answer, people: answer.people.filter(({ score }) => score >= least()) });

async function parsePatiently(photo) {
  for (let tries = 1; ; tries++) {
    try {
      return await parse(photo.file, options());
    } catch (problem) {
      if (problem.status === 401) await login(problem);
      else if ([429, 503].includes(problem.status) && tries < PATIENCE) {
        say(`The service is busy; ${photo.name} is sent again.`);
        await pause(problem.retryAfter || 1);
      } else throw problem;
    }
  }
}

// Photos, one after the other

async function add(files) {
  const images = [...files].filter((file) => !file.type || file.type.startsWith('image/'));
  if (!images.length) return say('That is no image.');
  stopWebcam();
  const added = await Promise.all(images.map(async (file) => {
    const photo = { name: file.name || 'pasted image', file, url: URL.createObjectURL(file), state: 'waiting' };
    await read(photo);
    return photo;
  }));
  for (const photo of added) {
    photo.item = thumbnail(photo);
    photos.push(photo);
    $('#strip').append(photo.item);
  }
  select(added[0]);
  await send();
}

async function read(photo) {
  const image = Object.assign(new Image(), { src: photo.url });
  try {
    await image.decode();
    photo.image = image;
    photo.size = { width: image.naturalWidth, height: image.naturalHeight };
  } catch {
    photo.image = null; // the service may read it all the same: HEIC
    photo.size = { width: 16, height: 9 };
  }
}

async function send() {
  if (sending) return;
  sending = true;
  for (let photo; (photo = photos.find(({ state }) => state === 'waiting')); ) {
    setState(photo, 'sent');
    try {
      await started;
      finish(photo, await parsePatiently(photo));
      setState(photo, 'done');
    } catch (error) {
      photo.problem = error instanceof Problem ? error : new Problem({ title: 'This page failed', detail: String(error) });
      setState(photo, 'failed');
    }
    if (photo === current) render();
  }
  sending = false;
}

function finish(photo, { answer, roundTrip }) {
  Object.assign(photo, { answer, roundTrip, problem: null, least: least(), scene: buildScene(shown(answer), model.taxonomy) });
  photo.size = { width: answer.image.width, height: answer.image.height };
}

function setState(photo, state) {
  photo.state = state;
  if (photo.item) tell(photo);
  if (photo === current) render();
}

/** Say on a photo's thumbnail what became of it. */
function tell({ item, name, state, answer }) {
  item.dataset.state = state;
  const count = answer && shown(answer).people.length;
  item.querySelector('span').textContent = { done: count, failed: '!', waiting: '', sent: '…' }[state];
  const told = { done: `${count} people`, failed: 'failed', waiting: 'waiting', sent: 'being parsed' }[state];
  item.firstChild.setAttribute('aria-label', `${name}, ${told}`);
}

function thumbnail(photo) {
  const button = element('button', { type: 'button', title: photo.name, onclick: () => select(photo) },
    element('img', { src: photo.url, alt: '' }), element('span', {}));
  return element('li', {}, button);
}

function select(photo) {
  stopWebcam();
  current = photo;
  for (const { item } of photos) item.firstChild.setAttribute('aria-current', item === photo.item);
  photo.item?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  render();
}

function step(by) {
  const at = photos.indexOf(current) + by;
  if (photos[at]) select(photos[at]);
}

// The webcam

async function startWebcam() {
  const frame = { name: 'webcam', state: 'sent', size: { width: 16, height: 9 }, image: null };
  current = frame;
  render();
  try {
    await started;
    await webcam.start(options());
    speed = [];
    frame.live = true;
    $('#webcam').textContent = 'Stop';
  } catch (problem) {
    webcam.stop();
    Object.assign(frame, { state: 'failed', problem });
  }
  if (current === frame) render();
  else webcam.stop(); // a photo came while the browser asked for the camera
}

/** Stop it; the last frame stays as a photo. */
function stopWebcam() {
  if (!webcam.running) return;
  webcam.stop();
  $('#webcam').textContent = 'Webcam';
  const frame = current;
  if (!frame.scene) {
    current = photos.at(-1) ?? null;
    return;
  }
  Object.assign(frame, { live: false, url: URL.createObjectURL(frame.file), name: 'webcam frame' });
  frame.item = thumbnail(frame);
  photos.push(frame);
  $('#strip').append(frame.item);
  setState(frame, 'done');
}

webcam.addEventListener('answer', ({ detail: { answer, roundTrip, image, file } }) => {
  finish(current, { answer, roundTrip });
  Object.assign(current, { image, file, state: 'done' });
  const now = performance.now();
  speed = [...speed.filter((time) => now - time < 2000), now];
  const rate = speed.length > 1 ? ((speed.length - 1) * 1e3) / (now - speed[0]) : 0;
  $('#live').textContent = `${rate.toFixed(1)} answers a second; ${webcam.dropped} of ${webcam.sent} frames dropped for newer ones`;
  render();
});

webcam.addEventListener('problem', ({ detail: problem }) => {
  $('#webcam').textContent = 'Webcam';
  Object.assign(current, { live: false, state: 'failed', problem });
  render();
  if (problem.status === 401) login(problem).then(startWebcam, () => {});
});

// The screen

function render() {
  if (current && !$('#welcome').hidden) $('#main').focus({ preventScroll: true }); // what had the focus disappears
  $('#welcome').hidden = Boolean(current);
  $('#work').hidden = !current;
  if (!current) return;
  if (current.scene && current.least !== least()) finish(current, current);
  const { state, problem, scene, answer, image, size, live, name } = current;
  const done = Boolean(scene) && state === 'done';
  $('#problem').hidden = state !== 'failed';
  $('#viewer').hidden = state === 'failed' && !image;
  $('#panel').hidden = !scene || state === 'failed';
  $('#json').hidden = !done || Boolean(live);
  $('#downloads').hidden = !done || Boolean(live);
  $('#live').hidden = !live;
  $('#strip').hidden = photos.length < 2;
  $('#busy').hidden = !['waiting', 'sent'].includes(state);
  $('#busy-text').textContent = name === 'webcam' ? 'Waiting for the webcam' : 'Looking for people';
  stage.show(image, size, done ? scene : null);
  if (state === 'failed') {
    $('#problem-title').textContent = problem.title;
    $('#problem-detail').textContent = problem.detail;
    $('#problem-id').textContent = problem.requestId ? `Request ${problem.requestId}` : '';
    say('');
  }
  if (!done) return $('#warnings').replaceChildren();
  showTime(answer.timings_ms, current.roundTrip);
  showPeople(scene, stage);
  showCutout(scene, chosenPerson());
  const warnings = image ? answer.warnings : [...answer.warnings, 'This browser cannot show the photo; its people are drawn without it.'];
  $('#warnings').replaceChildren(...warnings.map((text) => element('li', {}, text)));
  if (live) return;
  const count = scene.people.length;
  const found = count === 1 ? '1 person' : `${count || 'no'} people`;
  say(`${name}: ${found} in ${Math.round(answer.timings_ms.total)} ms, ${size.width} × ${size.height} pixels, detail ${answer.model.detail}`);
  const url = new URL(least() ? `parse?min_score=${least()}` : 'parse', document.baseURI);
  $('#curl').textContent = `curl -F image=@${/^[\w.-]+$/.test(name) ? name : 'photo.jpg'} ${url}`;
  if ($('#json').open) showJson(shown(answer));
}

function say(text) {
  if ($('#status').textContent !== text) $('#status').textContent = text;
}

const chosenPerson = () => current.scene.people.find(({ number }) => number === stage.chosen);

stage.addEventListener('choose', () => {
  if (!current?.scene) return;
  showPeople(current.scene, stage);
  showCutout(current.scene, chosenPerson());
});
stage.addEventListener('hover', ({ detail }) => markHovered(detail));

function save(blob, ending) {
  const url = URL.createObjectURL(blob);
  element('a', { href: url, download: `${current.name.replace(/\.\w+$/, '')}-${ending}` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

async function saveLayer(layer, person = null) {
  try {
    const png = await layerPng(current.file, { ...options(), layer, person: person?.id, min_score: least() });
    save(png, `${person ? `person-${person.number}` : layer}.png`);
  } catch (problem) {
    say(`${problem.title}. ${problem.detail}`);
  }
}

async function copy(text, button) {
  const label = button.textContent;
  const copied = await navigator.clipboard?.writeText(text).then(() => true, () => false);
  button.textContent = copied ? 'Copied' : 'Not allowed here';
  await pause(1.5);
  button.textContent = label;
}

// What a person can do

const actions = {
  choose: () => $('#files').click(),
  webcam: () => {
    if (webcam.running) {
      stopWebcam();
      render();
    } else startWebcam();
  },
  async sample() {
    const response = await fetch('page/sample.jpg');
    if (!response.ok) return say('These weights have no sample photo.');
    await add([new File([await response.blob()], 'sample.jpg', { type: 'image/jpeg' })]);
  },
  retry() {
    if (current.name === 'webcam') return startWebcam();
    setState(current, 'waiting');
    return send();
  },
  'save-picture': async () => save(await stage.picture(), 'people.png'),
  'save-parts': () => saveLayer('parts'),
  'save-people': () => saveLayer('people'),
  'save-cutout': () => saveLayer('cutout', chosenPerson()),
  'save-json': () => save(new Blob([JSON.stringify(shown(current.answer))], { type: 'application/json' }), 'response.json'),
  'copy-json': (button) => copy(JSON.stringify(shown(current.answer)), button),
  'copy-curl': (button) => copy($('#curl').textContent, button),
};

document.addEventListener('click', ({ target }) => {
  const button = target.closest('[data-action]');
  if (button) actions[button.dataset.action](button);
});

$('#files').addEventListener('change', ({ target }) => {
  add(target.files);
  target.value = '';
});

$('#detail').addEventListener('change', () => {
  if (webcam.running) {
    webcam.stop();
    startWebcam();
  } else if (current) actions.retry();
});

$('#switches').addEventListener('change', ({ target }) => stage.layers({ [target.name]: target.checked }));
$('#opacity').addEventListener('input', ({ target }) => stage.layers({ opacity: Number(target.value) }));
$('#json').addEventListener('toggle', () => $('#json').open && showJson(shown(current.answer)));
function sayLeast() {
  $('#least-text').textContent = percent(least());
  $('#least').setAttribute('aria-valuetext', percent(least()));
}
sayLeast(); // a browser may keep the value over a reload
$('#least').addEventListener('input', () => {
  sayLeast();
  photos.forEach(tell);
  render();
});
$('#open-keys').addEventListener('click', () => $('#keys').showModal());

const sample = $('#sample img');
const noSample = () => document.querySelectorAll('[data-action=sample]').forEach((button) => (button.hidden = true));
sample.addEventListener('error', noSample);
if (sample.complete && !sample.naturalWidth) noSample(); // the error came before this script

// Dropping and pasting, anywhere

let depth = 0; // of entered elements: a drag leaves one by entering the next
addEventListener('dragenter', (event) => {
  depth += 1;
  $('#drop').hidden = !event.dataTransfer.types.includes('Files');
});
addEventListener('dragleave', () => {
  depth -= 1;
  if (!depth) $('#drop').hidden = true;
});
addEventListener('dragover', (event) => event.preventDefault());
addEventListener('drop', (event) => {
  event.preventDefault();
  depth = 0;
  $('#drop').hidden = true;
  if (event.dataTransfer.files.length) add(event.dataTransfer.files);
});
addEventListener('paste', ({ clipboardData }) => clipboardData.files.length && add(clipboardData.files));

// Keys

function toggle(index) {
  const input = $('#switches').querySelectorAll('input')[index];
  input.click();
}

function fade(by) {
  const slider = $('#opacity');
  slider.value = Number(slider.value) + by;
  slider.dispatchEvent(new Event('input'));
}

function nextPerson() {
  const people = current?.scene?.people ?? [];
  const next = people[people.findIndex(({ number }) => number === stage.chosen) + 1];
  if (next) stage.choose(next.number);
  else if (stage.chosen !== null) stage.choose(null);
}

const keys = {
  o: actions.choose,
  w: actions.webcam,
  s: actions.sample,
  1: () => toggle(0),
  2: () => toggle(1),
  3: () => toggle(2),
  4: () => toggle(3),
  '[': () => fade(-0.1),
  ']': () => fade(0.1),
  n: nextPerson,
  c: () => current && !$('#downloads').hidden && $('#cutout').click(),
  j: () => ($('#json').open = !$('#json').open),
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  '?': () => $('#keys').showModal(),
  Escape: () => {
    if (webcam.running) actions.webcam();
    else stage.choose(null);
  },
};

addEventListener('keydown', (event) => {
  const typing = event.target.closest('input:not([type=checkbox]), select, textarea, dialog, pre');
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !$('#keys-on').checked) return;
  const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (act) {
    event.preventDefault();
    act();
  }
});
$('#keys-on').checked = localStorage.getItem('keys') !== 'off';
$('#keys-on').addEventListener('change', ({ target }) => localStorage.setItem('keys', target.checked ? 'on' : 'off'));

// Light or dark, as the system says or as chosen

const THEMES = ['auto', 'light', 'dark'];
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  $('#theme').textContent = { auto: '◐ Auto', light: '○ Light', dark: '● Dark' }[theme];
  $('#theme').setAttribute('aria-label', `Colors: ${theme}`);
  localStorage.setItem('theme', theme);
}
setTheme(THEMES.includes(localStorage.getItem('theme')) ? localStorage.getItem('theme') : 'auto');
$('#theme').addEventListener('click', () => {
  setTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % 3]);
});
