// Numbers, durations and times as people read them.

export function count(n) {
  return Math.round(n).toLocaleString("en-US");
}

// 3 significant digits: 0.00123, 1.23, 123, 1,234.
export function number(x) {
  if (!Number.isFinite(x)) return String(x);
  const size = Math.abs(x);
  if (size >= 1000) return count(x);
  if (size !== 0 && size < 1e-4) return x.toExponential(2);
  return String(Number(x.toPrecision(3)));
}

export function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// Of a time in milliseconds since 1970.
export function ago(then, now = Date.now()) {
  const seconds = Math.max(0, (now - then) / 1000);
  if (seconds < 60) return "now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  if (seconds < 86400 * 7) return `${Math.floor(seconds / 86400)} d`;
  return new Date(then).toLocaleDateString("en-CA");
}
