// A stream filter from outside: lets in requests that bring one of the configured keys, and takes the key out before they go on.
//
// The manifest is a function, so that it is handed what it needs of Sluice: `z` (zod) and `schema` for the options, `headerName` to
// prepare names once, the verdicts. An object would do where nothing of that is needed.
export function manifest({ z, schema, headerName, CONTINUE, REPLIED }) {
  const { option, text } = schema;
  return {
    kind: 'stream-filter',
    name: 'api-key',
    doc: 'Lets in requests with a known key.',
    schema: z.strictObject({
      header: option(text(), { default: 'x-api-key', doc: 'Header that holds the key. Default x-api-key.' }),
      keys: option(z.array(text()), { doc: 'Keys that are let in; none lets in everybody.' }),
    }),
    // Once for each listener that names the filter, in each worker. What is prepared here costs no request anything.
    create: (options) => new ApiKey(options),
  };

  function ApiKey(options) {
    const header = headerName(options.header);
    return {
      name: 'api-key',
      // The route is known here, and with it the options that it has in place of the listener's.
      onRoute(exchange, head) {
        const keys = (exchange.route.filters.get('api-key') ?? options).keys;
        if (keys.length > 0 && !keys.includes(head.get(header) ?? '')) {
          exchange.answerWith(401, 'a key is needed\n', [['content-type', 'text/plain']]);
          return REPLIED;
        }
        head.remove(header);
        return CONTINUE;
      },
    };
  }
}
