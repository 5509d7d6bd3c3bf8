// Every way in which a Node program waits for some time; see waits.c.
const timers = require('node:timers/promises');
const { execFile } = require('node:child_process');
const { Worker } = require('node:worker_threads');

const first = Number(process.argv[2]) * 1000;
const promised = (start) => (ms) => new Promise((resolve) => start(resolve, ms));
const worker = (code) => promised((resolve, ms) => new Worker(code, { eval: true, workerData: ms }).on('exit', resolve));

const waits = {
  'setTimeout': promised((resolve, ms) => setTimeout(resolve, ms)),
  'timers/promises': (ms) => timers.setTimeout(ms),
  'setInterval': promised((resolve, ms) => { const i = setInterval(() => { clearInterval(i); resolve(); }, ms); }),
  'AbortSignal.timeout': promised((resolve, ms) => { AbortSignal.timeout(ms).addEventListener('abort', resolve); setTimeout(() => {}, ms); }),
  'setTimeout-in-a-worker': worker(`setTimeout(() => {}, require('node:worker_threads').workerData)`),
  'Atomics.wait-in-a-worker': worker(`Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, require('node:worker_threads').workerData)`),
  'child_process': promised((resolve, ms) => execFile('sleep', [String(ms / 1000)], resolve)),
};

const mono = () => (Number(process.hrtime.bigint()) / 1e9).toFixed(9);
console.log(`begin ${Math.floor(Date.now() / 1000)} ${mono()}`);
Object.entries(waits).forEach(async ([name, wait], i) => {
  await wait(first + 60_000 * i);
  console.log(`${name} ${(Date.now() / 1000).toFixed(3)} ${mono()}`);
});
