// The server's API from a page: JSON in, JSON out, errors as ApiError with the server's own message. The API key, where the server asks for one,
// is kept in this browser's storage and sent as a bearer token; a 401 raises "r1:unauthorized" on window.
import {store, stored} from "./storage.js";

const kKeyName = "r1.api_key";
let keyInMemory = "";  // where storage is off

export function apiKey() {
  return stored("localStorage", kKeyName) || keyInMemory;
}

export function setApiKey(key) {
  keyInMemory = key;
  store("localStorage", kKeyName, key);
}

export const kLost = "The connection to the server was lost.";

export class ApiError extends Error {
  constructor(status, message, {code = null, param = null, retryAfter = 0} = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.param = param;
    this.retryAfter = retryAfter;  // seconds; 0: not said
  }
}

async function errorOf(response) {
  const retryAfter = Number(response.headers.get("retry-after")) || 0;
  let error = {};
  try {
    error = (await response.json()).error || {};
  } catch {
    // Not JSON: a proxy's page.
  }
  if (response.status === 401) window.dispatchEvent(new Event("r1:unauthorized"));
  return new ApiError(response.status, error.message || `The server answered ${response.status} ${response.statusText}.`,
    {code: error.code, param: error.param, retryAfter});
}

// The response, whose status is 2xx; for streams.
export async function request(path, {method = "GET", body = undefined, signal = undefined, keepalive = false} = {}) {
  const headers = {};
  if (body !== undefined) headers["content-type"] = "application/json";
  const key = apiKey();
  if (key) headers.authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(path, {
      method, headers, signal, keepalive, cache: "no-store", credentials: "same-origin",
      body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The server can't be reached.");
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

export async function api(path, options) {
  const response = await request(path, options);
  return response.status === 204 ? null : response.json();
}
