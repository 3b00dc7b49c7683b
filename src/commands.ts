// The commands besides `start`, as one module.
export { catalog } from './catalog.js';
export { call } from './control/command/call.js';
export { check } from './control/command/check.js';
export { drain, stop, wait } from './control/command/remote.js';
export { explain, explainAll } from './core/explain.js';
export { isReasonCode } from './core/reason.js';
export { callFrame, CallReply } from './stream/protocol/bolt/call.js';
export { replyColumns } from './stream/reply-columns.js';
