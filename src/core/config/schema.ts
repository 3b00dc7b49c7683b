// What schemas of the configuration are made of, in one place to import from.
export { type Address, address, type HostConfig, hosts, parseAddress, showAddress } from './address.js';
export { type JsonSchema, option, type OptionMeta, optionMeta, Refusal, scalar, section } from './option.js';
export { duration, percent, showDuration, showSize, size } from './units.js';
export { flag, integer, NAME, name, number, oneOf, text } from './words.js';
