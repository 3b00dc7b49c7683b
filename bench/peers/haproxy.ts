// HAProxy with one thread, in HTTP or TCP mode.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, waitForPort } from '../site.js';
import { logFile, ProcessSubject, START_LIMIT_MS, type SubjectKind } from '../subject.js';
import { findDebian } from './install.js';

export const haproxy: SubjectKind = {
  name: 'haproxy',
  find: async (install) => findDebian('haproxy', '-v', ['haproxy'], install),
  async start({ site, mode, upstreams, log, discardLog }) {
    const port = await freePort();
    const base = join(site.dir, `haproxy-${port}`);
    const file = logFile(site, 'haproxy', port, discardLog);
    const http = mode === 'http';
    writeFileSync(
      `${base}.cfg`,
      // The default buffer of 16 KiB would make bulk dearer than the others' 64 KiB. It can log to a descriptor but not to a file: standard output is one in memory.
      `global
  nbthread 1
  maxconn 9000
${http ? '' : '  tune.bufsize 65536\n'}  ${log ? 'log stdout format raw local0 info' : ''}
defaults
  mode ${mode}
  timeout connect 3s
  timeout client 1h
  timeout server 1h
  ${http ? 'timeout http-keep-alive 1h\n  http-reuse always' : ''}
  ${log ? `log global\n  option ${http ? 'httplog' : 'tcplog'}` : ''}
frontend in
  bind 127.0.0.1:${port} backlog 4096
  default_backend out
backend out
  balance roundrobin
${upstreams.map((upstream, i) => `  server s${i} 127.0.0.1:${upstream}`).join('\n')}
`,
    );
    const started = site.start('haproxy', ['haproxy', '-db', '-f', `${base}.cfg`], { core: site.proxyCore, stdout: file });
    await waitForPort(started, port, START_LIMIT_MS);
    return new ProcessSubject(started, port, file);
  },
};
