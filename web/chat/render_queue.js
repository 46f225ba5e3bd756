// Work on what is shown, in slices: schedule(view) has view.step(deadline) called until it says true, a few milliseconds at a time, so that the page
// answers between them. The last scheduled is served first: what was added last is what one looks at. "later": ask again in a while.

const kSlice = 16;  // ms
const queue = new Set();
let waiting = false;

// Not requestAnimationFrame: a hidden tab's text is to be there when it is looked at.
const channel = new MessageChannel();
channel.port1.onmessage = run;

function wake() {
  if (waiting) return;
  waiting = true;
  channel.port2.postMessage(null);
}

function run() {
  waiting = false;
  const deadline = performance.now() + kSlice;
  let later = 0;
  for (const view of [...queue].reverse()) {
    if (performance.now() >= deadline) break;
    const state = view.step(deadline);
    if (state === "later") ++later;
    else if (state) queue.delete(view);
  }
  if (queue.size > later) wake();
  else if (queue.size) setTimeout(wake, 30);
}

export function schedule(view) {
  queue.delete(view);
  queue.add(view);
  wake();
}
