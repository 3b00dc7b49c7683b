// What `sluice start` needs before its listeners accept, as one module: each one that is imported by itself adds to the start.
export { start } from './control/command/start.js';
export { log } from './core/log.js';
export { Server } from './server.js';
