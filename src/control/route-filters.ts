// The schema of a route table in which the options of filters for single routes are checked by the filters' own schemas.
import type * as z from 'zod';
import type { Catalog } from '../core/manifest.js';
import { type RouteConfig, type RouteTableConfig, routeTableSchema } from '../stream/route-config.js';
import { decodeOptions, refuseName } from './plugged.js';

type Context = Pick<z.core.$RefinementCtx, 'addIssue'>;

/** The schema of one route table. */
export function routeTableWith(catalog: Catalog) {
  return routeTableSchema.transform((table, context): RouteTableConfig => {
    const { routes, virtual_hosts: hosts } = table;
    return {
      ...table,
      ...(routes === undefined ? {} : { routes: decodeFilters(catalog, routes, ['routes'], context) }),
      virtual_hosts: hosts.map((host, i) => ({ ...host, routes: decodeFilters(catalog, host.routes, ['virtual_hosts', i, 'routes'], context) })),
    };
  });
}

function decodeFilters(catalog: Catalog, routes: readonly RouteConfig[], path: readonly (string | number)[], context: Context): RouteConfig[] {
  return routes.map((route, i) => {
    const filters: Record<string, unknown> = {};
    for (const [name, options] of Object.entries(route.filters)) {
      const at = [...path, i, 'filters', name];
      const manifest = catalog.find('stream-filter', name);
      if (manifest === undefined) refuseName(catalog, 'stream-filter', name, at, context);
      else filters[name] = decodeOptions(manifest, options, at, context);
    }
    return { ...route, filters };
  });
}
