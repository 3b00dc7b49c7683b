#!/usr/bin/env node
// The command line; for now it only says that nothing runs yet.
process.stderr.write('sluice: nothing to run yet\n');
process.exitCode = 1;
