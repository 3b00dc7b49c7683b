// Options that bridges to services of Java share.
import * as z from 'zod';
import { option, Refusal, scalar } from '../../core/config/schema.js';
import { isJavaType } from './arguments.js';

function javaType(): z.ZodType<string, unknown> {
  const expected = 'a type of Java such as int, java.lang.String, com.example.Order[] or java.util.List<com.example.Order>';
  return scalar<string>({ expected, input: () => ({ type: 'string' }) }, (value) => (typeof value === 'string' && isJavaType(value) ? value : new Refusal(expected)));
}

function prefix(): z.ZodType<string, unknown> {
  const expected = 'a path that begins and ends with "/"';
  return scalar<string>({ expected, input: () => ({ type: 'string', pattern: '^/(.*/)?$' }) }, (value) => (typeof value === 'string' && /^\/([^?#\s]*\/)?$/.test(value) ? value : new Refusal(expected)));
}

function named(pattern: RegExp, expected: string): z.ZodType<string, unknown> {
  return scalar<string>({ expected, input: () => ({ type: 'string' }) }, (value) => (typeof value === 'string' && pattern.test(value) ? value : new Refusal(expected)));
}

/** How the path of a request names the service and the method, and what is known of methods. */
export const targetShape = {
  prefix: option(prefix(), { default: '/', doc: 'What comes before the names in the path: PREFIX SERVICE/METHOD. Default "/".' }),
  service: option(named(/^[\w$]+(?:[.-][\w$]+)*(?::[\w.-]+){0,2}$/, 'the name of a service, such as com.example.Hello'), { default: '', doc: 'Service that is called; the path then names the method only. Default: the path names it.' }),
  method: option(named(/^[A-Za-z_]\w*$/, 'the name of a method'), { default: '', doc: 'Method that is called. Default: the path names it.' }),
  allowed_classes: option(z.array(named(/^[\w$]+(?:\.[\w$]+)*(?:\.\*)?$/, 'a class, or a package as com.example.*')), { default: [], doc: 'Classes that requests may name, in `types` and by "$class", beside the plain ones of the JDK; or packages, as com.example.*. Default none: who may name any class can harm servers.' }),
  types: option(z.record(z.string(), z.array(javaType())), { default: {}, doc: 'Types of the parameters, for each method by METHOD or by SERVICE.METHOD. A request may say them itself (`types` beside `args`).' }),
};
