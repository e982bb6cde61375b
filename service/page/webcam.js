// The webcam: frames to WS /stream, its answers back with the frames that they belong to.

import { openStream, Problem } from './api.js';

const LONGEST = 960; // pixels of a frame's longer side
const INTERVAL = 66; // ms between frames: more come than are answered, the service takes the newest
const WAITING = 30; // frames without an answer: then the connection is the limit, and none is sent

export class Webcam extends EventTarget {
  #video = Object.assign(document.createElement('video'), { muted: true, playsInline: true });
  #socket = null;
  #media = null;
  #timer = 0;
  #sent = 0;
  #answered = 0;
  #frames = new Map(); // number -> { canvas, time, file }
  #encoding = false;
  dropped = 0;

  get running() {
    return this.#media !== null;
  }

  async start(options) {
    if (!navigator.mediaDevices) {
      throw new Problem({ title: 'No webcam here', detail: 'Browsers give it to pages on https:// or localhost alone.' });
    }
    try {
      this.#media = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, facingMode: 'user' } });
    } catch (error) {
      const denied = error.name === 'NotAllowedError';
      throw new Problem({
        title: denied ? 'The webcam was not allowed' : 'No webcam was found',
        detail: denied ? 'Allow the camera for this page in your browser and try again.' : error.message,
      });
    }
    this.#video.srcObject = this.#media;
    await this.#video.play();
    this.#sent = this.#answered = this.dropped = 0;
    this.#frames.clear();
    this.#socket = openStream(options);
    this.#socket.onopen = () => (this.#timer = setInterval(() => this.#send(), INTERVAL));
    this.#socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    this.#socket.onclose = ({ code, reason }) => this.#fail(new Problem({
      title: reason || 'The stream ended',
      detail: code === 1006 ? 'The service cannot be reached.' : `The service closed it with code ${code}.`,
    }));
  }

  stop() {
    clearInterval(this.#timer);
    if (this.#socket) {
      this.#socket.onclose = this.#socket.onmessage = null;
      this.#socket.close(1000);
    }
    this.#media?.getTracks().forEach((track) => track.stop());
    this.#socket = this.#media = this.#video.srcObject = null;
  }

  get sent() {
    return this.#sent;
  }

  #send() {
    if (this.#encoding || this.#socket.bufferedAmount || this.#sent - this.#answered >= WAITING) return;
    const { videoWidth, videoHeight } = this.#video;
    if (!videoWidth) return;
    const scale = Math.min(1, LONGEST / Math.max(videoWidth, videoHeight));
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [Math.round(videoWidth * scale), Math.round(videoHeight * scale)];
    canvas.getContext('2d').drawImage(this.#video, 0, 0, canvas.width, canvas.height);
    this.#encoding = true;
    canvas.toBlob((file) => {
      this.#encoding = false;
      if (!this.running) return;
      this.#frames.set(++this.#sent, { canvas, file, time: performance.now() });
      this.#socket.send(file);
    }, 'image/jpeg', 0.85);
  }

  #receive(answer) {
    if (answer.frame === undefined) return this.#fail(new Problem(answer.problem));
    const frame = this.#frames.get(answer.frame);
    this.#answered = answer.frame;
    this.dropped += answer.dropped;
    for (const number of this.#frames.keys()) if (number <= answer.frame) this.#frames.delete(number);
    if (answer.problem) return; // refused under load: the next frame may fare better
    const roundTrip = performance.now() - frame.time;
    this.dispatchEvent(new CustomEvent('answer', { detail: { answer, roundTrip, image: frame.canvas, file: frame.file } }));
  }

  #fail(problem) {
    if (!this.running) return;
    this.stop();
    this.dispatchEvent(new CustomEvent('problem', { detail: problem }));
  }
}
