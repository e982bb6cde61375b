// The photo and its layers on the screen: size, pointer, and who is looked at.

import { drawLayers } from './draw.js';

export class Stage extends EventTarget {
  #viewer = document.querySelector('#viewer');
  #photo = document.querySelector('#photo');
  #layers = document.querySelector('#layers');
  #tip = document.querySelector('#tip');
  #image = null;
  #scene = null;
  #shown = { photo: true, parts: true, people: true, skeletons: true, opacity: 0.6 };
  #chosen = null; // the number of the person that was clicked
  #hovered = null; // { person, part } under the pointer, or in the list
  #frame = 0;

  constructor() {
    super();
    new ResizeObserver(() => this.#redraw()).observe(this.#viewer);
    this.#layers.addEventListener('pointermove', (event) => this.#point(event));
    this.#layers.addEventListener('pointerleave', () => this.hover(null));
    this.#layers.addEventListener('click', (event) => this.choose(this.#at(event)?.person.number ?? null));
  }

  /** Show an image (null: the browser cannot read it) of `size`, and its scene (null: not there yet). */
  show(image, size, scene) {
    const appears = scene && !this.#scene;
    this.#image = image;
    this.#scene = scene;
    if (!scene?.people.some((person) => person.number === this.#chosen)) this.#chosen = null;
    this.#hovered = null;
    this.#tip.hidden = true;
    this.#viewer.style.setProperty('--ratio', size.width / size.height);
    this.#size = size;
    this.#layers.classList.toggle('appears', Boolean(appears));
    this.#layers.setAttribute('aria-label', scene ? describe(scene) : 'A photo without a result yet');
    this.#redraw();
  }

  #size = { width: 16, height: 9 };

  get chosen() {
    return this.#chosen;
  }

  layers(change) {
    Object.assign(this.#shown, change);
    this.#redraw();
  }

  choose(number) {
    this.#chosen = number === this.#chosen ? null : number;
    this.#redraw();
    this.dispatchEvent(new Event('choose'));
  }

  hover(found) {
    if (found?.person === this.#hovered?.person && found?.part === this.#hovered?.part) return;
    this.#hovered = found;
    this.#redraw();
    this.dispatchEvent(new CustomEvent('hover', { detail: found }));
  }

  /** The picture as shown, at the image's own size. */
  async picture() {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [this.#size.width, this.#size.height];
    const context = canvas.getContext('2d');
    this.#drawPhoto(context, canvas);
    this.#drawScene(context, Math.max(1, Math.max(canvas.width, canvas.height) / 1100));
    return new Promise((resolve) => canvas.toBlob(resolve, 'image/png'));
  }

  get #focus() {
    if (this.#hovered) return this.#hovered;
    const person = this.#scene?.people.find(({ number }) => number === this.#chosen);
    return person ? { person } : null;
  }

  #redraw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => {
      const { width, height } = this.#viewer.getBoundingClientRect();
      if (!width) return;
      for (const canvas of [this.#photo, this.#layers]) {
        [canvas.width, canvas.height] = [width * devicePixelRatio, height * devicePixelRatio].map(Math.round);
      }
      this.#drawPhoto(this.#photo.getContext('2d'), this.#photo);
      const context = this.#layers.getContext('2d');
      context.scale(this.#layers.width / this.#size.width, this.#layers.height / this.#size.height);
      this.#drawScene(context, this.#size.width / width);
    });
  }

  #drawPhoto(context, { width, height }) {
    context.imageSmoothingQuality = 'high';
    if (this.#image && this.#shown.photo) context.drawImage(this.#image, 0, 0, width, height);
    else {
      context.fillStyle = '#24262b';
      context.fillRect(0, 0, width, height);
    }
  }

  #drawScene(context, pixel) {
    if (this.#scene) drawLayers(context, this.#scene, this.#shown, this.#focus, pixel);
  }

  #at(event) {
    const box = this.#layers.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * this.#size.width;
    const y = ((event.clientY - box.top) / box.height) * this.#size.height;
    return this.#scene?.at(x, y) ?? null;
  }

  #point(event) {
    const found = this.#at(event);
    this.hover(found);
    this.#tip.hidden = !found;
    if (!found) return;
    const { person, part } = found;
    this.#tip.textContent = part ? `${person.name} · ${part.name} · ${percent(part.score)}` : person.name;
    const box = this.#viewer.getBoundingClientRect();
    const left = Math.min(event.clientX - box.left + 14, box.width - this.#tip.offsetWidth - 4);
    this.#tip.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, event.clientY - box.top - 36)}px)`;
  }
}

export const percent = (score) => `${Math.round(score * 100)} %`;

function describe({ people }) {
  if (!people.length) return 'Nobody was found in this photo';
  return people.map((p) => `${p.name}, ${percent(p.score)}, ${p.parts.length} parts`).join('; ');
}
