// The service's endpoints, and its errors in words.

export class Problem extends Error {
  constructor({ title, detail, status = 0, request_id = '' }, retryAfter = 0) {
    super(title);
    Object.assign(this, { title, detail, status, requestId: request_id, retryAfter });
  }
}

const KEY = 'humanparse-key';
export const useKey = (key) => sessionStorage.setItem(KEY, key);
const headers = () => (sessionStorage.getItem(KEY) ? { Authorization: `Bearer ${sessionStorage.getItem(KEY)}` } : {});

async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...headers(), ...options.headers } });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem({ title: 'The service cannot be reached', detail: 'See that it runs and that you are connected.' });
  }
  if (response.ok) return response;
  const document = await response.json().catch(() => ({
    title: `The answer was ${response.status} ${response.statusText}`,
    detail: 'Something between this page and the service refused the request.',
    status: response.status,
  }));
  throw new Problem(document, Number(response.headers.get('Retry-After')));
}

const query = (parameters) => {
  const given = Object.entries(parameters).filter(([, value]) => value);
  return given.length ? `?${new URLSearchParams(given)}` : '';
};

const image = (file, accept, signal) => ({
  method: 'POST',
  body: file,
  signal,
  headers: { Accept: accept, 'Content-Type': file.type || 'application/octet-stream' },
});

export const getModel = async () => (await call('model')).json();

/** The people of a photo: the JSON and the milliseconds until it was here. */
export async function parse(file, { detail, signal }) {
  const sent = performance.now();
  const response = await call(`parse${query({ detail })}`, image(file, 'application/json', signal));
  const answer = await response.json();
  return { answer, roundTrip: performance.now() - sent };
}

/** A layer as PNG: a label map, whose pixels are the ids of parts or people, or a cut-out of all or one `person`. */
export async function layerPng(file, { detail, layer, person, min_score }) {
  return (await call(`parse${query({ detail, layer, person, min_score })}`, image(file, 'image/png'))).blob();
}

/** A WebSocket that takes frames. Scripts may set no header there, so the key is named as a subprotocol. */
export function openStream({ detail }) {
  const url = new URL(`stream${query({ detail })}`, document.baseURI);
  url.protocol = url.protocol.replace('http', 'ws');
  const key = sessionStorage.getItem(KEY);
  const coded = key && btoa(String.fromCharCode(...new TextEncoder().encode(key)));
  const protocols = key ? [`bearer.${coded.replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')}`] : [];
  return new WebSocket(url, ['humanparse', ...protocols]);
}
