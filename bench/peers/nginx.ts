// nginx with one worker: HTTP proxy over kept-alive upstream connections, or its stream module for TCP.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, waitForPort } from '../site.js';
import { logFile, ProcessSubject, START_LIMIT_MS, type SubjectKind, type SubjectOptions } from '../subject.js';
import { findDebian } from './install.js';

const STREAM_MODULE = '/usr/lib/nginx/modules/ngx_stream_module.so';

/** Its defaults close a connection after 1,000 requests, which no other subject does. */
const FOREVER = 'keepalive_requests 1000000000; keepalive_timeout 1h;';

/** Buffered like Sluice's log: 256 KiB or 200 ms. */
const logLine = (on: boolean, file: string): string => (on ? `access_log ${file} bench buffer=256k flush=200ms;` : 'access_log off;');

function httpConfig(port: number, { upstreams, log, site }: SubjectOptions, file: string): string {
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `  ${name}_temp_path ${join(site.dir, `nginx-${name}`)};`).join('\n');
  return `http {
${temp}
  log_format bench '$time_iso8601 $remote_addr "$request" $status $body_bytes_sent $request_time $upstream_addr $upstream_response_time';
  ${logLine(log, file)}
  ${FOREVER}
  upstream backend {
${upstreams.map((upstream) => `    server 127.0.0.1:${upstream};`).join('\n')}
    keepalive 512; ${FOREVER}
  }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}`;
}

/** Its default buffer of 16 KiB doubles the cost of bulk; the others read 64 KiB and more at a time. */
function streamConfig(port: number, { upstreams, log }: SubjectOptions, file: string): string {
  return `stream {
  log_format bench '$time_iso8601 $remote_addr $status $bytes_sent $bytes_received $session_time $upstream_addr';
  ${logLine(log, file)}
  upstream backend {
${upstreams.map((upstream) => `    server 127.0.0.1:${upstream};`).join('\n')}
  }
  server { listen 127.0.0.1:${port} backlog=4096; tcp_nodelay on; proxy_timeout 1h; proxy_buffer_size 64k; proxy_pass backend; }
}`;
}

export const nginx: SubjectKind = {
  name: 'nginx',
  find: async (install) => findDebian('nginx', '-v', ['nginx', 'libnginx-mod-stream'], install, STREAM_MODULE),
  async start(options) {
    const port = await freePort();
    const { site, mode } = options;
    const base = join(site.dir, `nginx-${port}`);
    const load = mode === 'tcp' && existsSync(STREAM_MODULE) ? `load_module ${STREAM_MODULE};` : '';
    const file = logFile(site, 'nginx', port, options.discardLog);
    const body = mode === 'tcp' ? streamConfig(port, options, file) : httpConfig(port, options, file);
    writeFileSync(
      `${base}.conf`,
      `${load}
daemon off; worker_processes 1; pid ${base}.pid; error_log stderr error;
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_rlimit_nofile 20000;
events { worker_connections 19000; multi_accept on; }
${body}
`,
    );
    const started = site.start('nginx', ['nginx', '-e', 'stderr', '-p', site.dir, '-c', `${base}.conf`], { core: site.proxyCore });
    await waitForPort(started, port, START_LIMIT_MS);
    return new ProcessSubject(started, port, file);
  },
};
